"""Serving for a long time, while an alias moves between two versions, of which one fits into memory at a time."""

import http.client
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock, local
from typing import Any
from urllib.parse import urlsplit

import onnx
import psutil

from benchmarks.predict_servers import Home, Running, darkroom
from core.db import Database
from core.services.context import open_platform
from core.services.models.versions import set_alias
from core.settings import Settings
from pipeline.predictor.metadata import read_metadata
from pipeline.predictor.onnx_file import describe_onnx, description_in
from pipeline.predictor.predictor import ExportPredictor, Prediction
from tests.builders.served import publish

CLIENTS = 8
SWAPS = 60
POISONED = 100  # one image of so many
POISON = b"\xff\xd8\xff\xe0 no image"
WARM_UP = 0.2  # of the requests, with their swaps: what libraries keep is kept by then
MEMORY_MIB = 20.0
SCORE, CORNER_PX = 1e-3, 0.1  # an image is computed on one core or on all, which add in another order
PROJECT = "soak"

Answer = list[tuple[str, float, list[float]]]


@dataclass(slots=True)
class _Seen:
    """What the clients saw. `wrong`: a line for each answer that is not as it should be."""

    versions: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    wrong: list[str] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)


def soak(home: Home, file: Path, images: Sequence[Path], folder: Path, *, requests: int) -> bool:
    """Whether every request was answered, by one version and rightly, and memory did not grow."""
    platform = open_platform(Settings(home=home.folder))
    files = [file, _stricter(file, folder / "stricter.onnx")]
    versions = {publish(platform, PROJECT, each): each for each in files}
    contents = [path.read_bytes() for path in images]
    wanted = {name: _answers(each, contents) for name, each in versions.items()}
    _point(platform.db, next(iter(versions)))
    # One of them fits, with its copy for requests that are alone: every swap loads one and drops the other.
    served = replace(home, names={"fp32": f"{PROJECT}@production"}, memory_bytes=5 * file.stat().st_size)
    seen, started = _Seen(), time.monotonic()
    with (
        darkroom(served, "fp32", engine="auto", log=folder / "soak.log") as server,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):
        ask = _asking(server, contents, wanted, seen)
        running: list[Future[None]] = []
        for number in range(requests):
            if number % max(1, requests // SWAPS) == 0:
                _wait(running)
                _point(platform.db, list(versions)[number * SWAPS // requests % 2])
                seen.memory.append(psutil.Process(server.pid).memory_info().rss)
            running.append(pool.submit(ask, number))
        _wait(running)
        seen.memory.append(psutil.Process(server.pid).memory_info().rss)
    platform.db.close()
    return _report(seen, requests=requests, seconds=time.monotonic() - started)


def _stricter(file: Path, target: Path) -> Path:
    """The same network with thresholds that leave out half of its boxes, so that versions answer differently."""
    metadata = read_metadata(description_in(onnx.load(str(file))))
    target.write_bytes(file.read_bytes())
    thresholds = tuple(0.97 for _ in metadata.classes)
    describe_onnx(target, replace(metadata, output=replace(metadata.output, thresholds=thresholds)))
    return target


def _answers(file: Path, contents: Sequence[bytes]) -> list[Answer]:
    results = ExportPredictor(file).predict(contents)
    return [
        [(box.label, box.score, [box.x1, box.y1, box.x2, box.y2]) for box in each.boxes]
        for each in results
        if isinstance(each, Prediction)
    ]


def _point(db: Database, version: str) -> None:
    set_alias(db, PROJECT, "production", version=version.partition("/")[2])


def _wait(running: list["Future[None]"]) -> None:
    """All but those of the last second go on during a swap."""
    while len(running) > CLIENTS:
        running.pop(0).result()


def _asking(server: Running, contents: Sequence[bytes], wanted: Mapping[str, Sequence[Answer]], seen: _Seen) -> Any:
    parts, own = urlsplit(server.url), local()
    path = f"{parts.path}?{parts.query}"

    def ask(number: int) -> None:
        if not hasattr(own, "connection"):
            own.connection = http.client.HTTPConnection(parts.netloc, timeout=60)
        poisoned = number % POISONED == POISONED // 2
        content = POISON if poisoned else contents[number % len(contents)]
        try:
            own.connection.request("POST", path, content, {"content-type": "image/jpeg"})
            answer = own.connection.getresponse()
            status, body = answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            del own.connection
            status, body = 0, {"detail": repr(error)}
        with seen.lock:
            _note(seen, number, status, body, wanted, poisoned=poisoned, index=number % len(contents))

    return ask


def _note(
    seen: _Seen,
    number: int,
    status: int,
    body: dict[str, Any],
    wanted: Mapping[str, Sequence[Answer]],
    *,
    poisoned: bool,
    index: int,
) -> None:
    if poisoned and (status, body.get("slug")) == (422, "image-invalid"):
        seen.refused += 1
        return
    if poisoned or status != 200:
        seen.wrong.append(f"request {number}: {status} {body.get('detail')}")
        return
    version = body["model"]["name"]
    seen.versions[version] += 1
    if not _equal(body["images"][0]["boxes"], wanted[version][index]):
        seen.wrong.append(f"request {number}: other boxes than those of {version}")


def _equal(found: Sequence[Mapping[str, Any]], wanted: Answer) -> bool:
    if len(found) != len(wanted):
        return False
    for box, (label, score, corners) in zip(found, wanted, strict=True):
        near = all(
            abs(box[name] - each) <= CORNER_PX for name, each in zip(("x1", "y1", "x2", "y2"), corners, strict=True)
        )
        if box["label"] != label or abs(box["score"] - score) > SCORE or not near:
            return False
    return True


def _report(seen: _Seen, *, requests: int, seconds: float) -> bool:
    warm = seen.memory[int(WARM_UP * len(seen.memory))]
    grown = (seen.memory[-1] - warm) / 2**20
    answered = sum(seen.versions.values()) + seen.refused
    print(f"\n{requests} requests in {seconds:.0f} s with {SWAPS} swaps: {answered} answered as they should,", end=" ")
    print(f"of them {seen.refused} poisoned; by version {dict(seen.versions)}; wrong {len(seen.wrong)}.")
    print(f"Resident memory after {WARM_UP:.0%} {warm / 2**20:.0f} MiB, at the end {grown:+.1f} MiB.", flush=True)
    for line in seen.wrong[:20]:
        print(line)
    return not seen.wrong and answered == requests and grown <= MEMORY_MIB and len(seen.versions) == 2
