"""A train task: claim -> fetch -> supervise -> put -> publish | fail | cancelled | give back."""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import structlog

from core.db.tables import RunRow
from core.domain.errors import DarkroomError, Internal, NoSpace, OutOfSpace, StoreRefused, TrainingFailed, Unavailable
from core.domain.keys import log_key as key_of_log
from core.services.jobs.lifecycle import find_prepared_set
from core.services.runs.lifecycle import finish_cancel, publish_version
from core.services.runs.logs import keeping_log, note_log_tail
from core.services.work.endings import fail_attempt, give_back_attempt, lose_attempt, refuse_attempt
from core.services.work.leases import Claim, ClaimLost, claim_row, poll_claim, renew_lease, report_progress
from core.storage import ObjectCorrupt, ObjectMissing
from pipeline.params.catalogue import entry_of
from pipeline.process.child import EXIT_OK
from pipeline.process.disk_full import is_full_disk
from worker.context import Worker
from worker.inputs.dataset_cache import cached_tree, private_tree
from worker.inputs.scratch import fresh_folder, scratch_name, scratch_root
from worker.inputs.weights_file import resolve_model
from worker.inputs.weights_folder import resolve_folder
from worker.supervision.child import child_command
from worker.supervision.exit_causes import cause_of, killed_from_outside
from worker.supervision.lease_keeper import CancelRequested, DrainRequested, LeaseKeeper
from worker.supervision.live_log import LiveLog
from worker.supervision.supervisor import supervise
from worker.tasks.checkpoints import Uploader, fetch_checkpoint
from worker.tasks.store_artifacts import MODEL_FILE, put_artifacts, put_log, put_log_quickly, read_metrics

DRAIN_UPLOAD_SECONDS = 2.0  # of the 4 s that the end of a worker may take
LAST_UPLOAD_SECONDS = 30.0  # before a lost child is given back: its last checkpoint is what the next one starts from

_RESOLVERS = {"file": resolve_model, "folder": resolve_folder}

log = structlog.get_logger(__name__)


def train_run(worker: Worker, run_id: str) -> None:
    """Train one run, if it is still waiting. How it ends is on the row. Raises Unavailable (the database)."""
    settings, db = worker.platform.settings, worker.platform.db
    claimed = claim_row(db, RunRow, run_id, worker.name, lease_seconds=settings.lease_seconds)
    if claimed is None:
        return
    claim, run = claimed
    log.info("run.claimed", run_id=run_id, attempt=claim.attempt)
    lease = LeaseKeeper(
        lambda worked: renew_lease(db, RunRow, claim, lease_seconds=settings.lease_seconds, worked_seconds=worked),
        lambda: poll_claim(db, RunRow, claim),
        worker.draining,
        lease_seconds=settings.lease_seconds,
        heartbeat_seconds=settings.heartbeat_seconds,
    )
    with lease:
        _Attempt(worker, lease, claim, run).go()


class _Attempt:
    """One attempt at a run: its claim, its folder, its log."""

    def __init__(self, worker: Worker, lease: LeaseKeeper, claim: Claim, run: RunRow) -> None:
        self.platform = worker.platform
        self.db = worker.platform.db
        self.lease = lease
        self.claim = claim
        self.run = run
        self.scratch = scratch_root(worker.platform.settings) / scratch_name(claim)
        self.out = self.scratch / "out"
        self.log_path = self.scratch / "train.log"
        self.notes: dict[str, str] = dict(run.notes or {})

    def go(self) -> None:
        with ExitStack() as folders:
            self._go(folders)  # its end is written before its folders are removed: 100,000 files take seconds

    def _go(self, folders: ExitStack) -> None:
        try:
            folders.enter_context(fresh_folder(self.scratch.parent, self.scratch.name))
            self._train(folders)
        except ClaimLost:
            self._end_cancelled_or_lost()
        except CancelRequested:
            self._cancelled()
        except DrainRequested:
            self._give_back(later=False)
        except StoreRefused as error:
            self._refused(error)
        except Unavailable as error:
            log.warning("run.given_back", run_id=self.claim.id, reason=error.detail)
            self._give_back(later=True)
        except OutOfSpace as error:
            self._fail(NoSpace(error.detail, **error.facts))
        except DarkroomError as error:
            self._fail(error)
        except Exception as error:
            log.exception("run.unforeseen", run_id=self.claim.id)
            self._fail(NoSpace("The worker's disk is full.") if is_full_disk(error) else Internal())

    def _train(self, folders: ExitStack) -> None:
        tree = self._fetch_tree(folders)
        resume, note = fetch_checkpoint(self.platform, self.run, self.lease, self.scratch)
        if note:
            self._note("checkpoint", note)
        spec = self._write_spec(tree, resume)
        uploader = Uploader(self.platform, self.claim, self.scratch)
        try:
            done = self._supervise(spec, uploader)
        finally:
            uploader.close()
        if done:
            self._publish()

    def _fetch_tree(self, stack: ExitStack) -> Path:
        settings = self.platform.settings
        tree = stack.enter_context(
            cached_tree(
                settings.cache,
                self.run.fingerprint,
                fetch=self._fetch_tar,
                check=self.lease.raise_if_stopped,
                pause=self.lease.pause,
                max_bytes=settings.cache_max_bytes,
            )
        )
        private = private_tree(settings.cache, tree, scratch_name(self.claim), check=self.lease.raise_if_stopped)
        return stack.enter_context(private)

    def _fetch_tar(self, target: Path) -> None:
        prepared = find_prepared_set(self.db, self.run.fingerprint)
        if prepared is None:
            raise TrainingFailed("The prepared dataset was deleted.", fingerprint=self.run.fingerprint)
        try:
            stored = self.lease.run_in_thread(lambda: self.platform.store.fetch(prepared.key, target))
        except ObjectMissing as error:
            raise TrainingFailed("The prepared dataset is missing from the object store.", key=prepared.key) from error
        except ObjectCorrupt as error:
            raise TrainingFailed("The prepared dataset is damaged in the object store.", key=prepared.key) from error
        if stored.sha256 != prepared.sha256:
            raise TrainingFailed("The stored dataset is not the one that was prepared.", key=prepared.key)

    def _write_spec(self, tree: Path, resume: Path | None) -> Path:
        settings, run = self.platform.settings, self.run
        source = self.lease.run_in_thread(
            lambda: _RESOLVERS[entry_of(run.trainer).weights](
                run.params, settings.weights, hub=settings.hub, check=self.lease.raise_if_stopped
            )
        )
        if source.note:
            self._note("weights", source.note)
        minutes = run.params.get("max_minutes")
        content = {
            "trainer": run.trainer,
            "params": run.params,
            "dataset": str(tree),
            "out": str(self.out),
            "model": source.as_spec(),
            "resume": str(resume) if resume else None,
            "seconds_left": None if minutes is None else max(0.0, float(minutes) * 60 - run.spent_seconds),
            "checkpoint_seconds": settings.checkpoint_seconds,
            "run_id": run.id,
            "attempt": self.claim.attempt,
            "fingerprint": run.fingerprint,
        }
        spec = self.scratch / "spec.json"
        spec.write_text(json.dumps(content), encoding="utf-8")
        return spec

    def _supervise(self, spec: Path, uploader: Uploader) -> bool:
        """True: the model lies in `out`. False: the child was killed from outside, and the row went back."""
        self.out.mkdir()
        try:
            with LiveLog(self.log_path, self._note_log):
                ending = supervise(
                    self.lease,
                    child_command("train", spec),
                    out=self.out,
                    log_path=self.log_path,
                    tell=lambda line: self._tell(line, uploader),
                    sample=self._report_sample,
                    sample_seconds=self.platform.settings.heartbeat_seconds,
                )
        except DrainRequested:
            uploader.settle(seconds=DRAIN_UPLOAD_SECONDS)
            raise
        if ending.status == EXIT_OK and (self.out / "artifacts" / MODEL_FILE).exists():
            return True
        cause = cause_of(ending, self.out, self.log_path)
        self.lease.run_in_thread(lambda: uploader.settle(seconds=LAST_UPLOAD_SECONDS))
        if not killed_from_outside(ending):
            raise cause
        kept = keeping_log(self.claim, self._put_log())
        self.lease.retry_until_lost(lambda: lose_attempt(self.db, RunRow, self.claim, cause, on_commit=kept))
        log.warning("run.child_killed", run_id=self.claim.id, signal=-ending.status)
        return False

    def _tell(self, line: Mapping[str, Any], uploader: Uploader) -> None:
        match line.get("type"):
            case "stage":
                report_progress(self.db, RunRow, self.claim, stage=line["stage"])
            case "epoch":
                progress = {name: line.get(name) for name in ("epoch", "epochs", "metrics", "seconds_left")}
                report_progress(self.db, RunRow, self.claim, progress=progress)
            case "checkpoint":
                uploader.offer(int(line["epoch"]), self.out / line["path"])
            case "note":
                self.notes |= {str(line["name"]): str(line["text"])}
                report_progress(self.db, RunRow, self.claim, notes=self.notes)

    def _report_sample(self, sample: Mapping[str, float]) -> None:
        report_progress(self.db, RunRow, self.claim, "system", extra={"system": sample})

    def _note_log(self, tail: bytes, total_bytes: int) -> None:
        note_log_tail(self.db, self.claim, tail, total_bytes=total_bytes)

    def _publish(self) -> None:
        self.lease.retry_until_lost(lambda: report_progress(self.db, RunRow, self.claim, stage="storing"))
        artifacts, weights = put_artifacts(self.platform, self.lease, self.claim, self.out / "artifacts")
        log_key = self._put_log()
        self.lease.raise_if_stopped()
        self.lease.retry_until_lost(lambda: report_progress(self.db, RunRow, self.claim, stage="publishing"))
        version = self.lease.retry_until_lost(
            lambda: publish_version(
                self.db,
                self.claim,
                metrics=read_metrics(self.out / "artifacts"),
                weights_name=weights,
                artifacts=artifacts,
                log_key=log_key,
            )
        )
        log.info("run.published", run_id=self.claim.id, job_id=version.job_id, version=version.number)

    def _note(self, name: str, text: str) -> None:
        self.notes |= {name: text}
        self.lease.retry_until_lost(lambda: report_progress(self.db, RunRow, self.claim, notes=self.notes))

    def _put_log(self) -> str | None:
        key = key_of_log(self.claim.id, self.claim.attempt)
        return put_log(self.platform, self.lease, key, self.log_path)

    def _put_log_quickly(self) -> str | None:
        return put_log_quickly(self.platform, key_of_log(self.claim.id, self.claim.attempt), self.log_path)

    def _end_cancelled_or_lost(self) -> None:
        """A publish that found the run cancelling is a cancel; anything else is no business of ours any more."""
        try:
            if poll_claim(self.db, RunRow, self.claim).cancel:
                return self._cancelled()
        except Unavailable:
            pass
        log.warning("run.lost", run_id=self.claim.id, attempt=self.claim.attempt)

    def _cancelled(self) -> None:
        log_key = self._put_log_quickly()
        try:
            self.lease.retry_until_lost(lambda: finish_cancel(self.db, self.claim, log_key=log_key))
            log.info("run.cancelled", run_id=self.claim.id)
        except ClaimLost:
            log.warning("run.lost", run_id=self.claim.id)

    def _fail(self, error: DarkroomError) -> None:
        kept = keeping_log(self.claim, self._put_log())
        try:
            self.lease.retry_until_lost(lambda: fail_attempt(self.db, RunRow, self.claim, error, on_commit=kept))
            log.warning("run.failed", run_id=self.claim.id, slug=error.slug, detail=error.detail)
        except ClaimLost:
            self._end_cancelled_or_lost()

    def _refused(self, error: StoreRefused) -> None:
        """Once it is trained it fails at once: another attempt would train for hours, to be refused again."""
        if (self.out / "artifacts" / MODEL_FILE).exists():
            return self._fail(error)
        try:
            row = self.lease.retry_until_lost(lambda: refuse_attempt(self.db, RunRow, self.claim, error))
            log.warning("run.refused", run_id=self.claim.id, state=row.state, cause=error.facts.get("cause"))
        except ClaimLost:
            self._end_cancelled_or_lost()

    def _give_back(self, *, later: bool) -> None:
        kept = keeping_log(self.claim, self._put_log_quickly())
        try:
            give_back_attempt(self.db, RunRow, self.claim, later=later, on_commit=kept)
            log.info("run.given_back", run_id=self.claim.id, attempt=self.claim.attempt)
        except ClaimLost:
            self._end_cancelled_or_lost()
        except Unavailable:
            log.warning("run.lost", run_id=self.claim.id)  # its lease runs out, and the sweep gives it back
