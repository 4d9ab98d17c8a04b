"""The part `api` of `benchmarks.predict`: p50 of one client."""

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter
from urllib.parse import urlsplit

import numpy as np

from benchmarks.predict_servers import Home, Running, api_before, darkroom
from pipeline.predictor.engines import open_engine
from pipeline.predictor.predictor import ExportPredictor

ABOVE_BARE_MS, ABOVE_SERVING_MS = 2.0, 3.0
TURN, UNCOUNTED = 15, 3  # requests of a turn; the first ones warm up what is measured


def one_client(home: Home, file: Path, images: Sequence[bytes], *, turns: int, log: Callable[[str], Path]) -> bool:
    """The bare predictor on all cores, serving, and the API in front of it, in turns of a few requests.

    A shared host can be a third slower in one second than in the next: what is compared must follow at once.
    """
    with ExitStack() as stack:
        served = stack.enter_context(darkroom(home, "fp32", engine="auto", log=log("api-darkroom")))
        through = stack.enter_context(api_before(served, home, log=log("api-api")))
        predictor = ExportPredictor(file, engine=open_engine(file, threads=len(os.sched_getaffinity(0))))
        ways: dict[str, Callable[[bytes], object]] = {"bare": lambda content: predictor.predict([content])}
        ways |= {name: stack.enter_context(_posting(way)) for name, way in (("serving", served), ("api", through))}
        p50: dict[str, list[float]] = {name: [] for name in ways}
        following = cycle(images)
        for _ in range(turns):
            for name, way in ways.items():
                p50[name].append(_median_ms(way, list(islice(following, TURN))))
    bare, serving, api = (np.asarray(p50[name]) for name in ways)
    above, further = float(np.median(serving - bare)), float(np.median(api - serving))
    print(f"\n| one client, {turns} turns | p50 | more | goal |\n{'|---' * 4}|")
    print(f"| bare predictor | {np.median(bare):.1f} ms | | |")
    print(f"| serving | {np.median(serving):.1f} ms | {above:.1f} ms | at most {ABOVE_BARE_MS:.0f} ms |")
    goal = f"at most {ABOVE_SERVING_MS:.0f} ms"
    print(f"| through the API | {np.median(api):.1f} ms | {further:.1f} ms | {goal} |", flush=True)
    return above <= ABOVE_BARE_MS and further <= ABOVE_SERVING_MS


def _median_ms(way: Callable[[bytes], object], images: Sequence[bytes]) -> float:
    """Of one image after the other."""
    times = []
    for content in images:
        started = perf_counter()
        way(content)
        times.append(1e3 * (perf_counter() - started))
    return float(np.median(times[UNCOUNTED:]))


@contextmanager
def _posting(running: Running) -> Iterator[Callable[[bytes], None]]:
    """One client with one connection, which reads an answer to its last byte and no further: parsing is not measured.

    `http.client` takes 0.4 ms for what `wrk` does in 0.01.
    """
    url = urlsplit(running.url)
    head = f"POST {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: image/jpeg\r\n"
    with socket.create_connection((url.hostname, url.port), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def post(content: bytes) -> None:
            connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
            answer, length = b"", -1
            while length != len(answer.partition(b"\r\n\r\n")[2]):
                received = connection.recv(2**16)
                assert received, f"{running.name} closed the connection"
                answer += received
                length = _length_in(answer)
            assert answer.startswith(b"HTTP/1.1 200 "), answer[:200]

        yield post


def _length_in(answer: bytes) -> int:
    """-1 until the head is complete."""
    head, end, _ = answer.partition(b"\r\n\r\n")
    return int(head.lower().partition(b"\ncontent-length:")[2].partition(b"\r")[0]) if end else -1
