"""How fast images are listed and rendered: `python -m benchmarks.images [--images 50000] [--rounds 30]`.

The API over SQLite and a folder of its own, with a set of so many images: pages of 50 filtered and sorted, by HTTP, and
a page of 50 thumbnails of photographs of 1920 x 1080, first and again, from six connections as a browser has them.
The processor time is that of the API and of the process that renders for it.
Prints one JSON line for each.
"""

import argparse
import hashlib
import io
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import psutil
from PIL import Image

from core.db.migrate import upgrade
from core.db.tables import JobRow
from core.domain.keys import dataset_key, image_index_key, upload_key
from core.services.context import Platform, open_platform
from core.services.jobs import lifecycle as preparing
from core.services.jobs.commands import new_job_id, receive_job
from core.services.work.leases import claim_row
from core.settings import Settings
from pipeline.dataset.model import Box
from pipeline.index.schema import IndexedImage
from pipeline.index.write import write_index

CLASSES = [f"class {number}" for number in range(20)]
FINDING = "box-tiny"
QUERIES = {
    "by path": "",
    "by blur": "sort=-blur",
    "one split, by brightness": "split=train&sort=brightness",
    "one class, by number of boxes": "class=class 3&sort=-boxes",
    "one class of one split, by size": "class=class 3&split=val&sort=-size",
    "with a finding, by blur": f"finding={FINDING}&sort=blur",
}
PAGE, CONNECTIONS, PHOTO = 50, 6, (1920, 1080)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=30)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as name:
        settings = Settings(home=Path(name), database_url=f"sqlite:///{name}/darkroom.db")
        upgrade(settings.database)
        platform = open_platform(settings)
        many = add_set(platform, Path(name), list(made_rows(args.images)), b"no images")
        photos = [photo(number) for number in range(PAGE)]
        photographs = add_set(platform, Path(name), list(rows_of(photos)), b"".join(photos))
        with serving(Path(name)) as (client, api):
            list_pages(client, api, many, args.images, args.rounds)
            show_page(client, api, photographs)
        platform.db.close()
    return 0


def list_pages(client: httpx.Client, api: psutil.Process, job: JobRow, images: int, rounds: int) -> None:
    """The first request, which fetches the index, is not counted."""
    client.get(f"/dataset/images/{job.id}").raise_for_status()
    for title, query in QUERIES.items():
        url = f"/dataset/images/{job.id}?limit={PAGE}&{query}"
        seconds, before = [], _processor_seconds(api)
        for _ in range(rounds):
            started = time.perf_counter()
            answer = client.get(url).raise_for_status().json()
            seconds.append(time.perf_counter() - started)
        milliseconds = round(statistics.median(seconds) * 1000, 1)
        processor = round((_processor_seconds(api) - before) / rounds * 1000, 1)
        figures = {"milliseconds": milliseconds, "processor_milliseconds": processor}
        _report("list", query=title, images=images, items=len(answer["items"]), **figures)


def show_page(client: httpx.Client, api: psutil.Process, job: JobRow) -> None:
    items = client.get(f"/dataset/images/{job.id}?limit={PAGE}").raise_for_status().json()["items"]
    urls = [item["links"]["thumbnail"] for item in items]
    for title in ("first", "second"):
        started, before = time.perf_counter(), _processor_seconds(api)
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            sizes = list(pool.map(lambda url: len(client.get(url).raise_for_status().content), urls))
        seconds = round(time.perf_counter() - started, 2)
        processor = round(_processor_seconds(api) - before, 2)
        figures = {"seconds": seconds, "processor_seconds": processor, "kilobytes": round(sum(sizes) / 1000)}
        _report("thumbnails", request=title, images=len(sizes), **figures)


def made_rows(count: int) -> Iterator[IndexedImage]:
    rng = random.Random(0)
    for number in range(count):
        boxes = tuple(_box(rng) for _ in range(rng.randrange(9)))
        path = f"camera {number % 17:02d}/{number:06d}.jpg"
        size = rng.choice(((640, 480), (1280, 720), (1920, 1080)))
        yield _row(path, rng.randbytes(32).hex(), size, at=0, length=1, rng=rng, boxes=boxes)


def rows_of(photos: list[bytes]) -> Iterator[IndexedImage]:
    rng, at = random.Random(1), 0
    for number, content in enumerate(photos):
        sha256 = hashlib.sha256(content).hexdigest()
        yield _row(f"{number:03d}.jpg", sha256, PHOTO, at=at, length=len(content), rng=rng, boxes=())
        at += len(content)


def _row(
    path: str,
    sha256: str,
    size: tuple[int, int],
    *,
    at: int,
    length: int,
    rng: random.Random,
    boxes: tuple[Box, ...],
) -> IndexedImage:
    return IndexedImage(
        path=path,
        name=f"images/train/{path}",
        row=None,
        sha256=sha256,
        phash=rng.randbytes(32),
        split=rng.choices(("train", "val", "test"), (8, 1, 1))[0],
        label=None,
        width=size[0],
        height=size[1],
        format="JPEG",
        at=at,
        bytes=length,
        brightness=rng.random(),
        blur=rng.random(),
        box_count=len(boxes),
        boxes=boxes,
    )


def _box(rng: random.Random) -> Box:
    x, y = rng.randrange(500_000), rng.randrange(300_000)
    return Box(rng.randrange(len(CLASSES)), x, y, x + rng.randrange(2000, 90_000), y + 50_000, False)


def photo(seed: int) -> bytes:
    """Clouds of several sizes and some grain: about as many bytes as a photograph of this size has."""
    rng = np.random.default_rng(seed)
    image = np.zeros((PHOTO[1], PHOTO[0], 3), dtype=np.float32)
    for side in (6, 24, 96, 384):
        patch = rng.normal(0, 1, (side, side * 16 // 9, 3)).astype(np.float32)
        for channel in range(3):
            image[..., channel] += 160 / side**0.5 * np.asarray(Image.fromarray(patch[..., channel]).resize(PHOTO))
    image += 128 + rng.normal(0, 4, image.shape[:2])[..., None]
    content = io.BytesIO()
    Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(content, "JPEG", quality=88)
    return content.getvalue()


def add_set(
    platform: Platform, folder: Path, images: list[IndexedImage], tar: bytes, *, project: str | None = None
) -> JobRow:
    """A ready job with this set, in a project of its own or in `project`."""
    job_id = new_job_id()
    source_key, source_bytes, source_sha256 = _put(platform, folder, upload_key(job_id), b"made")
    receive_job(
        platform,
        job_id,
        name="made",
        options={"seed": 0},
        source_name=source_key,
        source_bytes=source_bytes,
        source_sha256=source_sha256,
        project=project,
    )
    claimed = claim_row(platform.db, JobRow, job_id, "benchmark", lease_seconds=3600)
    assert claimed is not None
    fingerprint = hashlib.sha256(job_id.encode()).hexdigest()
    index = folder / "index"
    write_index(sorted(images), index)
    stored = platform.store.put(image_index_key(2, fingerprint, f"{job_id}-1"), index)
    index.unlink()
    _report("index", images=len(images), megabytes=round(stored.bytes / 1e6, 1))
    object_key, size, sha256 = _put(platform, folder, dataset_key(2, fingerprint), tar)
    about = {"severity": "warning", "path": "a", "line": 1, "detail": "d", "remedy": "r"}
    findings = [{**about, "code": FINDING, "image": image.path} for image in images[:: max(1, len(images) // 5000)]]
    counts = {FINDING: {"severity": "warning", "count": len(findings)}}
    row = preparing.complete_job(
        platform.db,
        claimed[0],
        preparing.ValidationResult("detection", "voc", CLASSES, len(images), counts, findings),
        preparing.PreparedSet(fingerprint, 2, object_key, size, sha256, stored.key, stored.bytes),
        content_fingerprint="c" * 64,
        metadata_key=f"jobs/{job_id}/1/dataset_metadata.json",
        metadata_sha256="2" * 64,
        is_stored=lambda _key: True,
    )
    assert row is not None
    return row


def _put(platform: Platform, folder: Path, key: str, content: bytes) -> tuple[str, int, str]:
    path = folder / "object"
    path.write_bytes(content)
    stored = platform.store.put(key, path)
    return stored.key, stored.bytes, stored.sha256


@contextmanager
def serving(home: Path) -> Iterator[tuple[httpx.Client, psutil.Process]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ours = {"HOME": str(home), "DATABASE_URL": f"sqlite:///{home}/darkroom.db", "API_PORT": str(port)}
    environment = (
        os.environ | {f"DARKROOM_{name}": value for name, value in ours.items()} | {"DARKROOM_LOG_LEVEL": "ERROR"}
    )
    with subprocess.Popen([sys.executable, "-m", "api"], env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120, trust_env=False) as client:
                _wait(client)
                yield client, psutil.Process(process.pid)
        finally:
            process.terminate()


def _processor_seconds(api: psutil.Process) -> float:
    """So far, of the API and its child."""
    times = [each.cpu_times() for each in (api, *api.children())]
    return sum(each.user + each.system for each in times)


def _wait(client: httpx.Client) -> None:
    for _ in range(600):
        try:
            client.get("/health")
            return
        except httpx.ConnectError:
            time.sleep(0.1)
    raise TimeoutError("The API does not answer.")


def _report(what: str, **figures: object) -> None:
    print(json.dumps({"benchmark": "images", "what": what, **figures}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
