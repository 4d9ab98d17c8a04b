"""The figures of predictions at /metrics. The models in memory are the only names that become labels."""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pipeline.predictor.predictor import PredictionFailed
from serving.intake import Intake
from serving.models.residency import Models
from serving.pool import Answered, Pool

STAGE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

EVENTS = ("loaded", "not_loaded", "switched", "evicted")


class ServingMetrics(Collector):
    """Of one process."""

    def __init__(self, models: Models, pool: Pool, intake: Intake) -> None:
        self._models, self._pool, self._intake = models, pool, intake
        self._images = Counter(
            "darkroom_predicted_images", "Images, by what became of them.", ("outcome",), registry=None
        )
        self._stages = Histogram(
            "darkroom_prediction_seconds", "Of an image, by stage.", ("stage",), buckets=STAGE_BUCKETS, registry=None
        )

    def note(self, results: Sequence[Answered]) -> None:
        """Of one request."""
        for each in results:
            if isinstance(each.result, PredictionFailed):
                self._images.labels("failed").inc()
                continue
            self._images.labels("predicted").inc()
            self._stages.labels("queued").observe(each.queued_ms / 1e3)
            for stage, milliseconds in each.result.milliseconds.items():
                self._stages.labels(stage).observe(milliseconds / 1e3)

    def collect(self) -> Iterable[Metric]:
        yield from self._images.collect()
        yield from self._stages.collect()
        yield from self._of_models()
        gauges = {
            "darkroom_serving_images_waiting": (
                "Images that wait or are computed, with their tiles.",
                self._pool.accepted,
            ),
            "darkroom_serving_images_limit": ("Images that may wait or be computed.", self._pool.limit),
            "darkroom_serving_body_bytes": ("Bytes of requests in memory.", self._intake.bytes),
            "darkroom_serving_body_bytes_limit": ("Bytes that they may have.", self._intake.max_bytes),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(name, text, value=value)
        events = CounterMetricFamily("darkroom_model_events", "Loads, switches, evictions.", labels=["event"])
        for event in EVENTS:
            events.add_metric([event], self._models.counts[event])
        yield events

    def _of_models(self) -> Iterator[Metric]:
        memory = GaugeMetricFamily("darkroom_model_bytes", "Estimated memory of a model.", labels=["model"])
        requests = CounterMetricFamily("darkroom_model_requests", "Requests since it was loaded.", labels=["model"])
        failed = CounterMetricFamily("darkroom_model_failed_images", "Images not predicted.", labels=["model"])
        for model in self._models.all():
            memory.add_metric([model.served.name], model.bytes)
            requests.add_metric([model.served.name], model.requests)
            failed.add_metric([model.served.name], model.failed)
        yield from (memory, requests, failed)
