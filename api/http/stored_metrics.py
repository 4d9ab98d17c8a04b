"""Metrics that are the same from every process of the API: from the database and the disks, kept for some seconds."""

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from core import clock
from core.db.totals import Total
from core.db.transitions import ENDED
from core.domain.errors import (
    DarkroomError,
    Internal,
    OperationFailed,
    OutOfSpace,
    PreparationFailed,
    TrainingFailed,
    Unavailable,
    all_errors,
)
from core.queue import ROLES
from core.services.context import Platform
from core.services.maintenance.figures import Figures, read_figures
from core.services.uploads.room import UploadRoom
from core.services.work.endings import LEASES_LOST
from core.services.work.leases import TABLES
from core.services.work.stages import ABOVE, BUCKETS, STAGE_COUNT, STAGE_SECONDS

CACHED_SECONDS = 5.0  # several servers may scrape

ROLE_OF = {table.noun(): ROLES[task] for task, table in TABLES.items()}  # `job` -> `prepare`

log = structlog.get_logger(__name__)


class StoredMetrics(Collector):
    """Safe for threads: one reads, the others wait."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._lock = threading.Lock()
        self._metrics: list[Metric] = []
        self._read_at = float("-inf")

    def collect(self) -> Iterable[Metric]:
        with self._lock:
            if clock.monotonic() - self._read_at > CACHED_SECONDS:
                self._metrics = list(_read(self._platform))
                self._read_at = clock.monotonic()
            return self._metrics


def _read(platform: Platform) -> Iterator[Metric]:
    """Where the database does not answer, `darkroom_database_up` is 0 and all that depends on it is left out."""
    try:
        figures = read_figures(platform)
        disks = list(_disks(platform))
    except (DarkroomError, OSError) as error:
        log.warning("metrics.incomplete", error=str(error))
        yield GaugeMetricFamily("darkroom_database_up", "Whether the database answers.", value=0)
        return
    yield GaugeMetricFamily("darkroom_database_up", "Whether the database answers.", value=1)
    yield from disks
    yield from _queues(figures)
    yield from _workers(figures)
    yield from _mirror(figures)
    yield from _ended(figures.totals)
    yield from _stages(figures.totals)


def _disks(platform: Platform) -> Iterator[Metric]:
    room = UploadRoom(platform)
    free, promised = room.free_bytes(), room.promised_bytes()
    where = "by disk: `temp`, and `store` where that is another one"
    yield _gauge("darkroom_disk_free_bytes", f"Free space, {where}.", "disk", free)
    yield _gauge("darkroom_disk_promised_bytes", f"Promised to uploads and not written yet, {where}.", "disk", promised)
    reserve = platform.settings.disk_reserve_bytes
    yield GaugeMetricFamily("darkroom_disk_reserve_bytes", "What uploads leave free.", value=reserve)


def _queues(figures: Figures) -> Iterator[Metric]:
    depths = {role: waiting.count for role, waiting in figures.queues.items()}
    ages = {role: waiting.oldest_seconds for role, waiting in figures.queues.items()}
    yield _gauge("darkroom_queue_depth", "Rows that wait for a worker, 10,000 at most.", "role", depths)
    yield _gauge("darkroom_queue_oldest_seconds", "How long the oldest of them has waited.", "role", ages)


def _workers(figures: Figures) -> Iterator[Metric]:
    active = GaugeMetricFamily("darkroom_active", "Rows claimed by a worker.", labels=("role", "state"))
    for labels, count in figures.active.items():
        active.add_metric(labels, count)
    yield active
    alive = {role: figures.workers.get(role, 0) for role in (*figures.queues, "housekeeping")}
    yield _gauge("darkroom_workers", "Workers seen in the last minute.", "role", alive)


def _mirror(figures: Figures) -> Iterator[Metric]:
    if figures.mirror is None:
        return
    count, seconds = figures.mirror.count, figures.mirror.oldest_seconds
    yield GaugeMetricFamily("darkroom_mlflow_behind_runs", "Ended runs that MLflow lacks, 1,000 at most.", value=count)
    yield GaugeMetricFamily("darkroom_mlflow_behind_seconds", "How long the oldest has been lacking.", value=seconds)


def _ended(totals: list[Total]) -> Iterator[Metric]:
    """Also those that have never happened: an alert on an increase needs the zero before it."""
    for table in TABLES.values():
        noun = table.noun()
        values: dict[tuple[str, ...], float] = {(str(state), ""): 0.0 for state in sorted(table.lifecycle.ended)}
        values |= {(str(table.lifecycle.failed), cause): 0.0 for cause in _causes()}
        named = [total for total in _named(totals, ENDED) if total.labels["of"] == noun]
        values |= {(total.labels["state"], total.labels["cause"]): total.value for total in named}
        text = f"{noun.title()}s by the state and the cause (the slug of a problem) that they ended with."
        yield _counter(f"darkroom_{noun}s_ended", text, ("state", "cause"), values)
    lost: dict[tuple[str, ...], float] = {(role,): 0.0 for role in ROLE_OF.values()}
    lost |= {(ROLE_OF[total.labels["of"]],): total.value for total in _named(totals, LEASES_LOST)}
    yield _counter("darkroom_leases_lost", "Attempts whose worker or child was lost.", ("role",), lost)


def _causes() -> list[str]:
    """The slugs with which jobs, runs and operations fail because of the service."""
    families = (TrainingFailed, PreparationFailed, OperationFailed, Unavailable, OutOfSpace, Internal)
    return sorted(error.slug for error in all_errors() if issubclass(error, families))


def _stages(totals: list[Total]) -> Iterator[Metric]:
    family = HistogramMetricFamily(
        "darkroom_stage_seconds", "Durations of the stages of jobs, runs and operations.", labels=("role", "stage")
    )
    counts: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for total in _named(totals, STAGE_COUNT):
        counts[total.labels["of"], total.labels["stage"]][total.labels["at_most"]] = total.value
    for total in _named(totals, STAGE_SECONDS):
        of, stage = total.labels["of"], total.labels["stage"]
        family.add_metric((ROLE_OF[of], stage), buckets=_cumulated(counts[of, stage]), sum_value=total.value)
    yield family


def _cumulated(counts: dict[str, float]) -> list[tuple[str, float]]:
    """Upper end -> the number of all durations up to it."""
    buckets, so_far = [], 0.0
    for end in (*map(str, BUCKETS), ABOVE):
        so_far += counts.get(end, 0.0)
        buckets.append((end, so_far))
    return buckets


def _named(totals: list[Total], name: str) -> list[Total]:
    return [total for total in totals if total.name == name]


def _counter(name: str, text: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, number in sorted(values.items()):
        family.add_metric(key, number)
    return family


def _gauge(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=(label,))
    for value, number in values.items():
        family.add_metric((value,), number)
    return family
