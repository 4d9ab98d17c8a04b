"""Whether this service is ready. All parts are probed at once, each with a time limit; a good report is kept for 10 s.

failed: the database or the store does not work, without which nothing does. degraded: the broker, MLflow or a worker is
missing, or MLflow refused a run; requests are accepted, and the work happens later.
"""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import structlog
from sqlalchemy import func, select

from core import clock
from core.db.clock import db_now
from core.db.tables import WorkerRow
from core.domain.errors import DarkroomError
from core.queue import ROLES
from core.services.context import Platform
from core.services.models.mlflow_sync import count_refused, count_refused_changes
from core.services.work.locks import ALIVE_SECONDS

REPORT_SECONDS = 10.0
FAULTY_REPORT_SECONDS = 1.0  # while a part starts or recovers, people check often
PROBE_SECONDS = 3.0
MLFLOW_SECONDS = 2.0
NEEDED_ROLES = tuple(ROLES.values())

ProbeState = Literal["ok", "degraded", "failed"]
Probe = Callable[[Platform], tuple[ProbeState, str]]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    state: ProbeState
    seconds: float
    detail: str


@dataclass(frozen=True, slots=True)
class ReadinessReport:
    state: ProbeState
    checks: Mapping[str, ProbeResult]
    checked_at: datetime


class Readiness:
    """Keeps the last report, and probes again when it is too old. Safe for threads: one probes, the others wait."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._lock = threading.Lock()
        self._report: ReadinessReport | None = None
        self._probe_at = 0.0

    def report(self) -> ReadinessReport:
        with self._lock:
            if self._report is None or clock.monotonic() > self._probe_at:
                self._report = check_all(self._platform)
                keep = REPORT_SECONDS if self._report.state == "ok" else FAULTY_REPORT_SECONDS
                self._probe_at = clock.monotonic() + keep
            return self._report


def check_all(platform: Platform) -> ReadinessReport:
    """Probe every part now. Takes at most PROBE_SECONDS."""
    pool = ThreadPoolExecutor(len(PROBES), thread_name_prefix="probe")
    started = {name: pool.submit(_timed, probe, platform) for name, probe in PROBES.items()}
    wait(started.values(), timeout=PROBE_SECONDS)
    pool.shutdown(wait=False)  # a probe that hangs ends by its own timeout
    checks = {name: _result(name, future) for name, future in started.items()}
    worst: ProbeState = "ok"
    if any(check.state != "ok" for check in checks.values()):
        worst = "degraded"
    if any(checks[name].state == "failed" for name in NEEDED):
        worst = "failed"
    return ReadinessReport(worst, checks, clock.now())


def _timed(probe: Probe, platform: Platform) -> tuple[ProbeState, float, str]:
    start = clock.monotonic()
    state, detail = probe(platform)
    return state, clock.monotonic() - start, detail


def _result(name: str, future: "Future[tuple[ProbeState, float, str]]") -> ProbeResult:
    fault: ProbeState = "failed" if name in NEEDED else "degraded"
    if not future.done():
        return ProbeResult(fault, PROBE_SECONDS, f"no answer within {PROBE_SECONDS:g} s")
    error = future.exception()
    if error is None:
        state, seconds, detail = future.result()
        return ProbeResult(state, round(seconds, 4), detail)
    if isinstance(error, DarkroomError):
        return ProbeResult(fault, 0.0, error.detail)
    log.error("probe.failed", probe=name, error=repr(error))  # the text of the error stays in the log
    return ProbeResult(fault, 0.0, "failed unexpectedly; see the log")


def _database(platform: Platform) -> tuple[ProbeState, str]:
    with platform.db.reading() as session:
        session.execute(select(func.count()).select_from(WorkerRow)).scalar_one()
    return "ok", platform.db.engine.dialect.name


def _store(platform: Platform) -> tuple[ProbeState, str]:
    platform.store.probe()
    return "ok", "written, read and deleted"


def _broker(platform: Platform) -> tuple[ProbeState, str]:
    if not platform.settings.broker_url:
        return "ok", "none is configured: workers poll the database"
    platform.queue.ping()
    return "ok", "answers"


def _mlflow(platform: Platform) -> tuple[ProbeState, str]:
    if not platform.settings.mlflow_url:
        return "ok", "none is configured: nothing is mirrored"
    import httpx  # takes 0.1 s to import

    try:
        answer = httpx.get(f"{platform.settings.mlflow_url.rstrip('/')}/health", timeout=MLFLOW_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return "degraded", f"does not answer ({type(error).__name__}); the mirror catches up later"
    if answer.status_code != httpx.codes.OK:
        return "degraded", f"answers with status {answer.status_code}"
    if refused := count_refused(platform.db):
        runs = "1 run" if refused == 1 else f"{refused} runs"
        return "degraded", f"answers, but refused {runs}: see `mlflow` at GET /runs/{{run_id}}"
    projects, jobs = count_refused_changes(platform.db)
    if projects or jobs:  # without their names: /ready needs no token
        changes = f"changes of projects ({projects}) and deletions of jobs ({jobs})"
        return "degraded", f"answers, but refused {changes}: see `mlflow.refused` in the log of housekeeping"
    return "ok", "answers"


def _worker(platform: Platform) -> tuple[ProbeState, str]:
    alive = select(WorkerRow.role, func.count()).where(WorkerRow.seen_at > db_now() - ALIVE_SECONDS)
    with platform.db.reading() as session:
        counts = dict(session.execute(alive.group_by(WorkerRow.role)).all())
    missing = [role for role in NEEDED_ROLES if not counts.get(role)]
    if missing:
        return "degraded", f"no worker seen in the last minute for: {', '.join(missing)}"
    return "ok", ", ".join(f"{counts[role]} {role}" for role in sorted(counts))


NEEDED = ("database", "store")
PROBES: dict[str, Probe] = {
    "database": _database,
    "broker": _broker,
    "store": _store,
    "mlflow": _mlflow,
    "worker": _worker,
}
