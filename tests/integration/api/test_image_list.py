"""Images of a prepared dataset over HTTP: lists, originals, thumbnails, and what a broken or hostile image costs."""

import io
import os
import signal
import struct
import time
import zlib
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
import psutil
import pytest
from PIL import Image

from api.images import renderer
from core.db.tables import JobRow
from core.domain.keys import thumbnail_of
from core.services.context import Platform
from core.services.operations.commands import get_operation, list_operations
from core.services.views import prepared_set_of
from tests.builders.indexed import box, indexed_image, indexed_job
from tests.builders.odd_images import chunk
from tests.builders.voc import image_bytes
from tests.children import running_children
from tests.servers.api import problem, serving
from tests.waiting import wait_until

WHITE = image_bytes(size=(96, 64), seed=5)
TURNED_SIZE = (400, 200)


def turned() -> bytes:
    """Stored 400 x 200, upright 200 x 400; its left half is red as stored."""
    image = Image.new("RGB", TURNED_SIZE, "blue")
    image.paste("red", (0, 0, 200, 200))
    exif = Image.Exif()
    exif[274] = 6  # the stored left is the upright top
    content = io.BytesIO()
    image.save(content, "JPEG", exif=exif, quality=95)
    return content.getvalue()


IMAGES = {
    indexed_image("a/1.jpg", WHITE, boxes=(box(0, 1, 2, 31.5, 22), box(2, 5, 5, 50, 60)), blur=0.9): WHITE,
    indexed_image(
        "a/2.jpg", turned(), width=200, height=400, split="val", boxes=(box(1, 20, 40, 180, 360),), blur=0.1
    ): turned(),
    indexed_image("b/broken.jpg", b"no image", split="test", blur=0.5): b"no image",
}
SIDE = 40_000  # 4.8 GB of pixels
BOMB = (
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0))
    + chunk(b"IDAT", zlib.compress(bytes(1000)))
    + chunk(b"IEND", b"")
)
TURNED = next(image.sha256 for image in IMAGES if image.path == "a/2.jpg")
BROKEN = next(image.sha256 for image in IMAGES if image.path == "b/broken.jpg")


@pytest.fixture
def job(platform: Platform) -> JobRow:
    return indexed_job(
        platform, IMAGES, findings=[("box-tiny", "a/1.jpg"), ("image-animated", "a/1.jpg"), ("no-boxes", None)]
    )


@pytest.fixture
def url(job: JobRow) -> str:
    return f"/dataset/images/{job.id}"


def test_images_are_listed_with_boxes_findings_and_links(client: httpx.Client, job: JobRow, url: str) -> None:
    assert client.get(f"/jobs/{job.id}").json()["links"]["images"] == url
    listed = client.get(url).json()
    assert [each["path"] for each in listed["items"]] == ["a/1.jpg", "a/2.jpg", "b/broken.jpg"]
    first = listed["items"][0]
    assert first["boxes"][0] == {"class": "ball", "x": 1, "y": 2, "width": 30.5, "height": 20, "difficult": False}
    assert (first["box_count"], first["findings"], first["split"]) == (2, ["box-tiny", "image-animated"], "train")
    assert client.get(first["links"]["image"]).content == WHITE


def test_filters_sorts_and_pages_are_combined(client: httpx.Client, url: str) -> None:
    def paths(query: str) -> list[str]:
        return [each["path"] for each in client.get(f"{url}?{query}").json()["items"]]

    assert paths("class=cone") == paths("finding=box-tiny") == paths("split=train&class=ball") == ["a/1.jpg"]
    assert paths("split=val&class=ball") == paths("finding=no-boxes") == paths("finding=box-clipped") == []
    assert paths("sort=blur") == ["a/2.jpg", "b/broken.jpg", "a/1.jpg"]
    page = client.get(f"{url}?sort=-blur&limit=2").json()
    assert [each["path"] for each in page["items"]] == ["a/1.jpg", "b/broken.jpg"]
    rest = client.get(f"{url}?sort=-blur&limit=2&cursor={page['next_cursor']}").json()
    assert ([each["path"] for each in rest["items"]], rest["next_cursor"]) == (["a/2.jpg"], None)
    huge = urlsafe_b64encode(f'["-blur",1{"0" * 309},0]'.encode()).decode()
    other = f"sort=blur&cursor={page['next_cursor']}"
    for cursor in (other, f"sort=-blur&cursor={huge}", "cursor=bm9uZQ", "cursor=W10", "cursor=!"):
        problem(client.get(f"{url}?{cursor}"), 400, "cursor-invalid")


@pytest.mark.parametrize(
    ("query", "choice"),
    [("class=balll", "'ball'"), ("split=dev", "train, val, test"), ("finding=x", "box-tiny"), ("sort=-age", "blur")],
)
def test_an_unknown_choice_is_refused_with_those_that_there_are(
    client: httpx.Client, url: str, query: str, choice: str
) -> None:
    body = problem(client.get(f"{url}?{query}"), 400, "request-invalid")
    assert [each["field"] for each in body["errors"]] == [query.partition("=")[0]]
    assert choice in body["errors"][0]["message"]


def test_an_original_is_sent_with_its_type_and_ranges(client: httpx.Client, url: str) -> None:
    answer = client.get(f"{url}/{TURNED}")
    assert (answer.content, answer.headers["content-type"]) == (turned(), "image/jpeg")
    assert answer.headers["x-content-type-options"] == "nosniff" and "immutable" in answer.headers["cache-control"]
    part = client.get(f"{url}/{TURNED}", headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, turned()[10:20])
    for sha256 in ("0" * 64, "x", TURNED.upper()):
        problem(client.get(f"{url}/{sha256}"), 404, "image-not-found")


def test_a_thumbnail_is_upright_and_shows_its_boxes_on_request(
    client: httpx.Client, platform: Platform, job: JobRow, url: str
) -> None:
    plain = client.get(f"{url}/{TURNED}?size=100")
    image = Image.open(io.BytesIO(plain.content))
    assert (plain.headers["content-type"], image.size) == ("image/jpeg", (64, 128))
    top, bottom = image.convert("RGB").getpixel((32, 10)), image.convert("RGB").getpixel((32, 118))
    assert top[0] > 200 > 60 > top[2] and bottom[2] > 200 > 60 > bottom[0]
    assert client.get(f"{url}/{TURNED}?size=128").headers["etag"] == plain.headers["etag"]
    drawn = Image.open(io.BytesIO(client.get(f"{url}/{TURNED}?size=256&boxes=true").content)).convert("RGB")
    edge = drawn.getpixel((13, 200))
    assert all(abs(got - wanted) < 40 for got, wanted in zip(edge, (0xD5, 0x5E, 0x00), strict=True)), edge
    assert Image.open(io.BytesIO(client.get(f"{url}/{TURNED}?boxes=true").content)).size == (200, 400)
    kept = [key for key, _ in platform.store.list_prefix("datasets/") if thumbnail_of(key) == job.fingerprint]
    assert len(kept) == 3


@pytest.mark.usefixtures("new_interpreters")
def test_the_second_request_is_a_read(client: httpx.Client, platform: Platform, url: str) -> None:
    first = client.get(f"{url}/{TURNED}?size=128")
    (key,) = [key for key, _ in platform.store.list_prefix("datasets/") if thumbnail_of(key)]
    kill(rendering())
    assert client.get(f"{url}/{TURNED}?size=128").content == first.content == b"".join(platform.store.open(key))
    assert not rendering()
    again = client.get(f"{url}/{TURNED}?size=128", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.usefixtures("new_interpreters")
def test_a_killed_process_is_replaced_and_costs_no_image(client: httpx.Client, url: str) -> None:
    assert client.get(f"{url}/{TURNED}?size=128").status_code == 200
    kill(rendering())
    assert client.get(f"{url}/{TURNED}?size=256").status_code == 200


def test_a_broken_image_is_refused_by_its_name_and_only_it(client: httpx.Client, url: str) -> None:
    for _ in range(2):
        body = problem(client.get(f"{url}/{BROKEN}?size=128"), 422, "image-not-rendered")
        assert body["path"] == "b/broken.jpg" and "b/broken.jpg" in body["detail"]
    assert client.get(f"{url}/{TURNED}?size=128").status_code == 200


def test_an_image_that_decodes_to_gigabytes_is_refused_within_the_limit_of_memory(
    client: httpx.Client, platform: Platform
) -> None:
    bomb = indexed_image("bomb.png", BOMB, width=SIDE, height=SIDE, format="PNG")
    job = indexed_job(platform, {bomb: BOMB})
    body = problem(client.get(f"/dataset/images/{job.id}/{bomb.sha256}?size=128"), 422, "image-not-rendered")
    assert "more memory than is allowed" in body["detail"]


@pytest.mark.usefixtures("new_interpreters")
def test_an_image_that_hangs_its_process_is_given_up_and_others_wait_no_longer(
    platform: Platform, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renderer, "IMAGE_SECONDS", 2.0)
    with serving(platform) as client:
        assert client.get(f"{url}/{TURNED}?size=128").status_code == 200
        (process,) = rendering()
        process.send_signal(signal.SIGSTOP)
        body = problem(client.get(f"{url}/{TURNED}?size=256"), 422, "image-not-rendered")
        assert "more than 2 seconds" in body["detail"]
        assert client.get(f"{url}/{TURNED}?size=512").status_code == 200


@pytest.mark.usefixtures("new_interpreters")
def test_too_many_that_wait_are_refused_with_the_time_to_come_back(
    platform: Platform, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renderer, "MAX_WAITING", 1)
    with serving(platform) as client, ThreadPoolExecutor(1) as other:
        assert client.get(f"{url}/{TURNED}?size=128").status_code == 200
        (process,) = rendering()
        process.send_signal(signal.SIGSTOP)
        waiting = other.submit(client.get, f"{url}/{TURNED}?size=256")
        time.sleep(0.5)
        refused = client.get(f"{url}/{TURNED}?size=512")
        assert problem(refused, 503, "unavailable")["service"] == "renderer" and refused.headers["retry-after"]
        process.send_signal(signal.SIGCONT)
        assert waiting.result(30).status_code == 200


@pytest.mark.usefixtures("new_interpreters")
def test_the_process_ends_when_idle_and_with_the_api(
    platform: Platform, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renderer, "IDLE_SECONDS", 0.5)
    with serving(platform) as client:
        assert client.get(f"{url}/{TURNED}?size=128").status_code == 200
        wait_until(lambda: not rendering(), seconds=10, what="the idle process ends")
        monkeypatch.setattr(renderer, "IDLE_SECONDS", 60.0)
    with serving(platform) as client:
        assert client.get(f"{url}/{TURNED}?size=256").status_code == 200
        assert rendering()
    wait_until(lambda: not rendering(), seconds=10, what="the process ends with the API")


def test_a_set_without_an_index_has_it_made_once(client: httpx.Client, platform: Platform) -> None:
    job = indexed_job(platform, IMAGES, with_index=False)
    answers = [client.get(f"/dataset/images/{job.id}"), client.get(f"/dataset/images/{job.id}/{TURNED}?size=128")]
    bodies = [problem(answer, 409, "image-index-missing") for answer in answers]
    (operation,) = list_operations(platform.db, cursor=None, limit=9).items
    assert (operation.kind, operation.target) == ("image-index", job.fingerprint)
    assert {body["links"]["operation"] for body in bodies} == {f"/operations/{operation.id}"}
    assert all(answer.headers["retry-after"] for answer in answers)


def test_a_job_is_deleted_while_its_index_is_made(client: httpx.Client, platform: Platform) -> None:
    job = indexed_job(platform, IMAGES, with_index=False)
    waiting = problem(client.get(f"/dataset/images/{job.id}"), 409, "image-index-missing")["operation_id"]
    assert client.delete(f"/jobs/{job.id}").status_code == 200
    assert get_operation(platform.db, waiting).state == "cancelled"

    other = indexed_job(platform, IMAGES, with_index=False)
    client.get(f"/dataset/images/{other.id}")
    project = client.get(f"/jobs/{other.id}").json()["project"]
    assert client.delete(f"/projects/{project}").status_code == 200


def test_copies_of_indexes_used_longest_ago_are_evicted(platform: Platform, tmp_path: Path) -> None:
    jobs = [indexed_job(platform, IMAGES) for _ in range(3)]
    folder = platform.settings.temp / "image-indexes"
    folder.mkdir(parents=True)
    (folder / ".killed.part").write_bytes(b"half")  # of a process that was killed while it fetched
    os.utime(folder / ".killed.part", (1, 1))
    with serving(platform, image_index_cache_bytes=1) as client:
        for job in jobs:
            assert client.get(f"/dataset/images/{job.id}").status_code == 200
            assert len([*folder.iterdir()]) == 1
            os.utime(next(folder.iterdir()), (1, 1))


def test_an_index_that_the_store_damaged_is_not_read(client: httpx.Client, platform: Platform) -> None:
    job = indexed_job(platform, IMAGES)
    _, dataset = prepared_set_of(platform.db, job.id)
    path = Path(unquote(urlsplit(platform.settings.store).path), str(dataset.index_key))
    stat = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # a failing disk changes bytes without changing the time
    body = problem(client.get(f"/dataset/images/{job.id}"), 503, "unavailable")
    assert "image index" in body["detail"]


def rendering() -> list[psutil.Process]:
    return running_children("render")


def kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        process.kill()
    psutil.wait_procs(processes, timeout=5)


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    yield
    wait_until(lambda: not rendering(), seconds=10, what="no process is left")
