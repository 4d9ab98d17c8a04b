"""The figures at /metrics, for Prometheus: requests from this process, and what else is collected.

The number of series is bounded: a path that no route has is `other`, and no label is an id or text of a user.
"""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core import clock

REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
OTHER = "other"
ABORTED = "aborted"  # in place of a status: the client was gone before the answer began


class Metrics:
    """The metrics of one process. `more`: what else is collected when they are read."""

    def __init__(self, *more: Collector) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # an untyped function; halves the series
        self._registry = CollectorRegistry(auto_describe=False)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)
        for each in more:
            self._registry.register(each)
        self._requests = Counter(
            "darkroom_http_requests",
            "Requests, by the route's template.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "darkroom_http_request_seconds",
            "Time until an answer begins; of streams, not until they end.",
            ("method", "route"),
            buckets=REQUEST_BUCKETS,
            registry=self._registry,
        )

    def add(self, collector: Collector) -> None:
        """What exists only when the service has started."""
        self._registry.register(collector)

    def add_request(self, scope: Scope, *, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in METHODS else OTHER
        route = getattr(scope.get("route"), "path", OTHER)  # set by the router
        self._requests.labels(method, route, str(status) if status else ABORTED).inc()
        self._seconds.labels(method, route).observe(seconds)

    def text(self, accept: str) -> tuple[bytes, str]:
        """The text and its media type, in the newest format that the server takes."""
        encode, media_type = choose_encoder(accept)
        return encode(self._registry), media_type


class MetricsMiddleware:
    """Counts every request, also those that another middleware refuses."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status, seconds = clock.monotonic(), 0, 0.0

        async def send_timed(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status, seconds = message["status"], clock.monotonic() - start
            await send(message)

        try:
            await self._app(scope, receive, send_timed)
        finally:
            self._metrics.add_request(scope, status=status, seconds=seconds if status else clock.monotonic() - start)
