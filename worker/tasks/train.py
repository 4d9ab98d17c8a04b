"""A train task: claim -> fetch -> supervise -> store -> publish."""

from contextlib import suppress
from functools import partial
from pathlib import Path

from core.db.tables import RunRow
from core.domain.errors import DarkroomError, OutOfMemory, StoreRefused, TimedOut, WeightsUnavailable
from core.domain.keys import artifact_key
from core.services.projects.names import log_names
from core.services.projects.test_sets import TestSetChanged
from core.services.runs.lifecycle import publish_version
from core.settings import Settings
from pipeline.params.catalogue import entry_of
from pipeline.process.child import EXIT_OK
from pipeline.process.specs import ModelSpec, TrainSpec
from worker.context import Worker
from worker.inputs.weights_cache import in_use, make_room
from worker.inputs.weights_file import WeightsSource, resolve_model
from worker.inputs.weights_folder import resolve_folder
from worker.supervision.exit_causes import cause_of, killed_from_outside
from worker.supervision.launcher import ProcessExit
from worker.supervision.lease_keeper import DrainRequested
from worker.supervision.live_log import LiveLog
from worker.supervision.oom import allocatable_bytes
from worker.supervision.supervisor import supervise
from worker.tasks.attempt import Attempt, run_attempt
from worker.tasks.checkpoints import Uploader, fetch_checkpoint
from worker.tasks.fetch_parent import fetch_parent
from worker.tasks.fetch_tree import fetch_tree
from worker.tasks.leak_check import check_leak, refuse_leak
from worker.tasks.publish_and_follow import publish_and_follow
from worker.tasks.run_reporter import RunReporter
from worker.tasks.store_artifacts import MODEL_FILE, STORING, put_artifacts, read_metrics
from worker.tasks.store_log import log_path, put_log, store_log

DRAIN_UPLOAD_SECONDS = 2.0  # of the 4 s that a drained worker may take to end
LAST_UPLOAD_SECONDS = 30.0  # before a lost child is given back: the next attempt starts from its last checkpoint
GRACE_SECONDS = 3600.0  # for the evaluation and the report of a training that ends at its limit of time
NVIDIA_DRIVER = Path("/dev/nvidiactl")

FIND_WEIGHTS_TIMES = 3  # another worker may evict them between their being found and their lock

_RESOLVERS = {"file": resolve_model, "folder": resolve_folder}


def train_run(worker: Worker, run_id: str) -> None:
    """Train a run, if it still waits; the row records how that ended. Raises Unavailable (the database)."""
    run_attempt(worker, RunRow, run_id, _train, store_log=store_log)


def _train(attempt: Attempt[RunRow], run: RunRow) -> None:
    uploader = Uploader(attempt)
    try:
        reporter = RunReporter(attempt, run, uploader)
        refuse_leak(attempt, run)
        tree = fetch_tree(attempt, run.fingerprint)
        resume = _fetch_checkpoint(attempt, run, reporter)
        spec = _spec(attempt, run, reporter, tree=tree, resume=resume)
        ended = _supervise(attempt, spec, reporter, uploader)
        trained = ended.status == EXIT_OK and (_artifacts(spec.out) / MODEL_FILE).exists()
        if not trained:
            return _fail_or_lose(attempt, spec, ended, uploader)
    finally:
        uploader.close()
    _publish(attempt, run, _artifacts(spec.out))


def _fetch_checkpoint(attempt: Attempt[RunRow], run: RunRow, reporter: RunReporter) -> Path | None:
    resume, note = fetch_checkpoint(attempt, run)
    if note:
        reporter.note("checkpoint", note)
    return resume


def _spec(
    attempt: Attempt[RunRow], run: RunRow, reporter: RunReporter, *, tree: Path, resume: Path | None
) -> TrainSpec:
    settings = attempt.platform.settings
    model, note = _start(attempt, run)
    if note:
        reporter.note("weights", note)
    return TrainSpec(
        trainer=run.trainer,
        params=run.params,
        dataset=tree,
        out=attempt.scratch / "out",
        memory_bytes=_memory_bytes(run, settings),
        model=model,
        resume=resume,
        seconds_left=_seconds_left(run, settings),
        checkpoint_seconds=settings.checkpoint_seconds,
        run_id=run.id,
        attempt=attempt.claim.attempt,
        fingerprint=run.fingerprint,
    )


def _seconds_left(run: RunRow, settings: Settings) -> float:
    """After this time the trainer ends with the best model so far."""
    minutes = run.params.get("max_minutes")
    allowed = settings.train_seconds if minutes is None else min(settings.train_seconds, float(minutes) * 60)
    return max(0.0, allowed - run.spent_seconds)


def _memory_bytes(run: RunRow, settings: Settings) -> int | None:
    """None beside an NVIDIA GPU: the driver maps the memory of the GPU, and more, into the process."""
    if run.params.get("device") != "cpu" and NVIDIA_DRIVER.exists():
        return None
    return settings.train_memory_bytes or allocatable_bytes()


def _start(attempt: Attempt[RunRow], run: RunRow) -> tuple[ModelSpec, str | None]:
    """What the training starts from, and a note for people. Raises WeightsUnavailable, OutOfSpace."""
    if run.parent_id is not None:
        parent = fetch_parent(attempt, run, run.parent_id)
        return parent, f"fine-tuned from {run.params['model']}"
    source = _weights(attempt, run)
    return source.as_spec(), source.note


def _weights(attempt: Attempt[RunRow], run: RunRow) -> WeightsSource:
    """Weights that stay until the attempt ends. Raises WeightsUnavailable, OutOfSpace."""
    settings, lease = attempt.platform.settings, attempt.lease
    find = partial(_RESOLVERS[entry_of(run.trainer).weights], run.params, settings.weights)
    limits = {"max_bytes": settings.weights_max_bytes, "reserve_bytes": settings.disk_reserve_bytes // 2}
    room = partial(make_room, settings.weights, **limits)
    for _ in range(FIND_WEIGHTS_TIMES):
        source = lease.run_in_thread(partial(find, hub=settings.hub, check=lease.raise_if_stopped, room=room))
        if source.kind == "config":
            return source
        attempt.folders.enter_context(in_use(Path(source.path_or_name)))
        if Path(source.path_or_name).exists():
            return source
    raise WeightsUnavailable("The weights were evicted again and again: DARKROOM_WEIGHTS_MAX_BYTES is too small.")


def _supervise(attempt: Attempt[RunRow], spec: TrainSpec, reporter: RunReporter, uploader: Uploader) -> ProcessExit:
    spec.out.mkdir()
    try:
        with LiveLog(log_path(attempt), reporter.report_log):
            return supervise(
                attempt.lease,
                attempt.worker.launcher,
                spec,
                log_path=log_path(attempt),
                report=reporter.report,
                sample=reporter.report_sample,
                sample_seconds=attempt.platform.settings.heartbeat_seconds,
                limit_seconds=attempt.platform.settings.train_seconds + GRACE_SECONDS,
            )
    except DrainRequested:
        uploader.settle(seconds=DRAIN_UPLOAD_SECONDS)
        raise


def _fail_or_lose(attempt: Attempt[RunRow], spec: TrainSpec, ended: ProcessExit, uploader: Uploader) -> None:
    """Raises the cause, unless the process was killed from outside: then the row waits for another attempt."""
    cause = _cause_of(ended, spec, log_path(attempt), attempt.platform.settings)
    attempt.lease.run_in_thread(lambda: uploader.settle(seconds=LAST_UPLOAD_SECONDS))
    if not killed_from_outside(ended):
        raise cause
    attempt.lose(cause)


def _cause_of(ended: ProcessExit, spec: TrainSpec, log: Path, settings: Settings) -> DarkroomError:
    """As `cause_of`, with the setting that allows more."""
    if ended.out_of_time:
        detail = f"It was still busy {GRACE_SECONDS:g} seconds after its limit of {settings.train_seconds:g} seconds."
        return TimedOut(detail, limit_seconds=settings.train_seconds, setting="DARKROOM_TRAIN_SECONDS")
    cause = cause_of(ended, spec.out, log)
    if isinstance(cause, OutOfMemory) and spec.memory_bytes:
        limit = {"limit_bytes": spec.memory_bytes, "setting": "DARKROOM_TRAIN_MEMORY_BYTES"}
        return OutOfMemory(cause.detail, **limit, **cause.facts)
    return cause


def _publish(attempt: Attempt[RunRow], run: RunRow, folder: Path) -> None:
    attempt.report_surely(stage=STORING)
    try:
        key_of = partial(artifact_key, attempt.claim.id, attempt.claim.attempt)
        artifacts, weights = put_artifacts(attempt, folder, key_of)
    except StoreRefused as error:  # another attempt would train for hours, to be refused again
        return attempt.fail(error)
    log_key = put_log(attempt)
    attempt.lease.raise_if_stopped()
    attempt.report_surely(stage="publishing")
    publish = partial(
        publish_version,
        attempt.db,
        attempt.claim,
        metrics=read_metrics(folder),
        weights_name=weights,
        artifacts=artifacts,
        log_key=log_key,
    )
    version = None
    while version is None:
        with suppress(TestSetChanged):  # since the check: the next one is of the other test set
            version = publish_and_follow(attempt, partial(publish, checked=check_leak(attempt, run)))
    attempt.log.info("run.published", job_id=version.job_id, **log_names(attempt.db, attempt.claim.id))


def _artifacts(out: Path) -> Path:
    return out / "artifacts"
