"""A prepare task: claim -> fetch -> supervise -> put -> complete | reject | fail | give back."""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import structlog

from core import clock
from core.db.tables import JobRow
from core.domain.errors import (
    DarkroomError,
    DatasetRejected,
    Gone,
    Internal,
    JobNotFound,
    NoSpace,
    OutOfSpace,
    PreparationFailed,
    StoreRefused,
    Unavailable,
    error_from_slug,
)
from core.domain.keys import metadata_key, repaired_key
from core.domain.limits import MAX_FINDINGS_KEPT
from core.services.jobs import get_job
from core.services.leases import Claim, ClaimLost, beat_job
from core.services.preparing import (
    Outcome,
    claim_job,
    complete_job,
    fail_job,
    give_back_job,
    live_fingerprints,
    look_at_job,
    reject_job,
    report_job,
)
from core.services.refusals import refuse_job
from core.services.repairing import REPAIR_OF, keep_repaired_source, repaired_job_of
from core.services.sweep import lose_job
from core.services.training import Look
from core.storage import ObjectCorrupt, ObjectMissing
from pipeline.child import EXIT_OK
from pipeline.failures import is_full_disk
from worker.child import child_command
from worker.endings import cause_of, killed_from_outside
from worker.hold import CancelAsked, DrainAsked, Hold
from worker.prepared import put_gallery, put_set, wait_until_deleted
from worker.scratch import fresh_folder, scratch_name, scratch_root
from worker.supervise import supervise
from worker.wiring import Worker

DELETING_SECONDS = 30.0  # a set being deleted is one object and two statements
PROGRESS_SECONDS = 1.0  # an event for each is kept: people look once a second at most
FINDING_FIELDS = ("code", "severity", "path", "line", "detail", "remedy")

log = structlog.get_logger(__name__)


def prepare_job(worker: Worker, job_id: str) -> None:
    """Prepare one upload, if it is still waiting. How it ends is on the row. Raises Unavailable (the database)."""
    settings, db = worker.platform.settings, worker.platform.db
    claimed = claim_job(db, job_id, worker.name, lease_seconds=settings.lease_seconds)
    if claimed is None:
        return
    claim, job = claimed
    log.info("job.claimed", job_id=job_id, attempt=claim.attempt)
    hold = Hold(
        lambda _worked: beat_job(db, claim, lease_seconds=settings.lease_seconds),
        lambda: Look(mine=look_at_job(db, claim), cancel=False, stop=False),
        worker.draining,
        lease_seconds=settings.lease_seconds,
        beat_seconds=settings.beat_seconds,
    )
    with hold, ExitStack() as folders:  # the end is written before the folder is removed
        try:
            scratch = folders.enter_context(fresh_folder(scratch_root(settings), scratch_name(claim)))
            _prepare(worker, hold, claim, job, scratch)
        except ClaimLost:
            log.warning("job.lost", job_id=job_id, attempt=claim.attempt)  # deleted, or another worker has it
        except (DrainAsked, CancelAsked):
            _give_back(worker, claim, later=False)
        except StoreRefused as error:
            _refused(worker, hold, claim, error)
        except Unavailable as error:
            log.warning("job.given_back", job_id=job_id, reason=error.detail)
            _give_back(worker, claim, later=True)
        except OutOfSpace as error:
            _fail(worker, hold, claim, NoSpace(error.detail, **error.facts))
        except DarkroomError as error:
            _fail(worker, hold, claim, error)
        except Exception as error:
            log.exception("job.unforeseen", job_id=job_id)
            _fail(worker, hold, claim, NoSpace("The worker's disk is full.") if is_full_disk(error) else Internal())


def _prepare(worker: Worker, hold: Hold, claim: Claim, job: JobRow, scratch: Path) -> None:
    settings = worker.platform.settings
    if job.source_key is None and repaired_job_of(job):
        repaired = _repair_source(worker, hold, claim, job, scratch)
        if repaired is None:
            return
        job = repaired
    archive, out = _fetch_source(worker, hold, job, scratch), scratch / "out"
    spec = _spec(job, archive, out, settings.prepare_processes) | {"live_sets": live_fingerprints(worker.platform.db)}
    result = _in_child(worker, hold, claim, "prepare", out, spec)
    if result is None:
        return
    if result["outcome"] == "ready":
        _complete(worker, hold, claim, out, result)
    else:
        _reject(worker, hold, claim, out, result)


def _repair_source(worker: Worker, hold: Hold, claim: Claim, job: JobRow, scratch: Path) -> JobRow | None:
    """Make the repaired ZIP, store it, and name it in the row. None: this attempt has ended otherwise."""
    out = scratch / "repair"
    archive = _fetch_source(worker, hold, _broken_job(worker, job), scratch)
    spec = {"archive": str(archive), "out": str(out), "processes": worker.platform.settings.prepare_processes}
    result = _in_child(worker, hold, claim, "repair", out, spec)
    archive.unlink()
    if result is None:
        return None
    if result["outcome"] != "repaired":
        _reject(worker, hold, claim, out, result)
        return None
    # Of this attempt: a library of another version may have packed an earlier one otherwise.
    key, zipped = repaired_key(claim.id, claim.attempt), out / "repaired.zip"
    put = hold.apart(lambda: worker.platform.store.put(key, zipped, media_type="application/zip"))
    zipped.unlink()
    name = f"{PurePosixPath(job.source_name).stem}-repaired.zip"
    keep = partial(keep_repaired_source, worker.platform.db, claim, name=name, key=put.key)
    return hold.insist(lambda: keep(size=put.bytes, sha256=put.sha256))


def _broken_job(worker: Worker, job: JobRow) -> JobRow:
    try:
        return get_job(worker.platform.db, str(repaired_job_of(job)))
    except (JobNotFound, Gone) as error:
        raise PreparationFailed("The job whose upload was to be repaired is deleted.") from error


def _in_child(
    worker: Worker, hold: Hold, claim: Claim, verb: str, out: Path, content: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Run a verb to its end and read what it found out. None: it was killed, and the attempt is given up."""
    out.mkdir()
    child_log, spec = out.with_suffix(".log"), out.with_suffix(".json")
    spec.write_text(json.dumps(content), encoding="utf-8")
    teller = _Teller(worker, claim)
    ending = supervise(hold, child_command(verb, spec), out=out, log_path=child_log, tell=teller.tell)
    if killed_from_outside(ending):
        lost = PreparationFailed(f"The preparation was killed by signal {-ending.status} again and again.")
        hold.insist(lambda: lose_job(worker.platform.db, claim, lost))
        return None
    result = _read_json(out / "result.json")
    if ending.status != EXIT_OK or result is None:
        raise _ours(cause_of(ending, out, child_log))
    return result


def _fetch_source(worker: Worker, hold: Hold, job: JobRow, scratch: Path) -> Path:
    archive, store = scratch / "source.zip", worker.platform.store
    if job.source_key is None:
        raise PreparationFailed("The uploaded ZIP is no longer kept.")
    key = job.source_key
    try:
        stored = hold.apart(lambda: store.fetch(key, archive))
    except ObjectMissing as error:
        raise PreparationFailed("The uploaded ZIP is missing from the object store.", key=key) from error
    except ObjectCorrupt as error:
        raise PreparationFailed("The uploaded ZIP is damaged in the object store.", key=key) from error
    if stored.sha256 != job.source_sha256:
        raise PreparationFailed("The stored ZIP is not the one that was uploaded.", key=key)
    return archive


def _spec(job: JobRow, archive: Path, out: Path, processes: int) -> dict[str, Any]:
    source = {"name": job.source_name, "bytes": job.source_bytes, "sha256": job.source_sha256}
    return {
        "archive": str(archive),
        "out": str(out),
        "job_id": job.id,
        "source": source,
        "options": {name: value for name, value in job.options.items() if name != REPAIR_OF},
        "processes": processes,
        "repaired": repaired_job_of(job) is not None,
        "tree": False,
    }


def _complete(worker: Worker, hold: Hold, claim: Claim, out: Path, result: Mapping[str, Any]) -> None:
    db, store = worker.platform.db, worker.platform.store
    hold.insist(lambda: report_job(db, claim, stage="storing", progress=None))
    key = metadata_key(claim.id, claim.attempt)
    metadata = hold.apart(lambda: store.put(key, out / "dataset_metadata.json", media_type="application/json"))
    put_gallery(worker, hold, claim, out, result.get("gallery") or {})
    outcome = _outcome(out, result)
    commit = partial(
        complete_job,
        db,
        claim,
        outcome,
        content_fingerprint=result["content_fingerprint"],
        metadata_key=metadata.key,
        metadata_sha256=metadata.sha256,
        is_stored=lambda set_key: store.head(set_key) is not None,
    )
    ends = clock.monotonic() + DELETING_SECONDS
    while True:
        prepared = put_set(worker, hold, out, result)
        if hold.insist(partial(commit, prepared=prepared)) is not None:
            reused = result["tar"] is None
            log.info("job.ready", job_id=claim.id, fingerprint=prepared.fingerprint, reused=reused)
            return
        if not wait_until_deleted(worker, hold, prepared.fingerprint, ends=ends):
            raise Unavailable("The same prepared dataset is just being deleted.")


def _reject(worker: Worker, hold: Hold, claim: Claim, out: Path, result: Mapping[str, Any]) -> None:
    problem = result.get("problem") or {}
    error = error_from_slug(
        problem.get("slug", DatasetRejected.slug), problem.get("detail", ""), **problem.get("facts", {})
    )
    outcome = _outcome(out, result)
    hold.insist(lambda: reject_job(worker.platform.db, claim, error, outcome))
    log.info("job.rejected", job_id=claim.id, slug=error.slug)


def _outcome(out: Path, result: Mapping[str, Any]) -> Outcome:
    return Outcome(
        kind=result.get("kind"),
        format=result.get("format"),
        classes=result.get("classes"),
        images=result.get("images"),
        counts=result.get("findings") or {},
        findings=_findings(out / "findings.jsonl"),
    )


def _findings(path: Path) -> list[dict[str, Any]]:
    """The first MAX_FINDINGS_KEPT; all of them are counted."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as lines:
        told = (json.loads(line) for line in islice(lines, MAX_FINDINGS_KEPT))
        return [{name: finding.get(name) for name in FINDING_FIELDS} for finding in told]


def _fail(worker: Worker, hold: Hold, claim: Claim, error: DarkroomError) -> None:
    try:
        hold.insist(lambda: fail_job(worker.platform.db, claim, error))
        log.warning("job.failed", job_id=claim.id, slug=error.slug, detail=error.detail)
    except ClaimLost:
        log.warning("job.lost", job_id=claim.id)


def _refused(worker: Worker, hold: Hold, claim: Claim, error: StoreRefused) -> None:
    try:
        row = hold.insist(lambda: refuse_job(worker.platform.db, claim, error))
        log.warning("job.refused", job_id=claim.id, state=row.state, cause=error.facts.get("cause"))
    except ClaimLost:
        log.warning("job.lost", job_id=claim.id)


def _give_back(worker: Worker, claim: Claim, *, later: bool) -> None:
    try:
        give_back_job(worker.platform.db, claim, later=later)
    except (ClaimLost, Unavailable):
        log.warning("job.lost", job_id=claim.id)  # its lease runs out, and the sweep gives it back


def _ours(cause: DarkroomError) -> DarkroomError:
    """What a child that crashed means for a job: ours, not the data's."""
    if isinstance(cause, PreparationFailed | OutOfSpace | NoSpace | DatasetRejected):
        return cause
    return PreparationFailed(cause.detail, **{"cause": cause.slug, **cause.facts})


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return content if isinstance(content, dict) else None


class _Teller:
    """Stages at once, progress within a stage at most once a second."""

    def __init__(self, worker: Worker, claim: Claim) -> None:
        self._db = worker.platform.db
        self._claim = claim
        self._told_at = float("-inf")

    def tell(self, line: Mapping[str, Any]) -> None:
        now = clock.monotonic()
        if line.get("type") == "stage":
            report_job(self._db, self._claim, stage=line["stage"], progress=None)
        elif line.get("type") == "progress" and now - self._told_at >= PROGRESS_SECONDS:
            self._told_at = now
            report_job(self._db, self._claim, progress={"done": line["done"], "total": line["total"]})
