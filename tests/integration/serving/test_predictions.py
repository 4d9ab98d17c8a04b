"""Predictions over HTTP: the same answer alone, beside others, and in the middle of a swap; what is refused."""

import asyncio
import base64
import io
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from core.services.context import Platform
from core.services.models.versions import set_alias
from pipeline.export.bounds import BOUNDS
from serving.models.residency import Models
from tests.builders.served import publish
from tests.servers.serving import predicted, served

POISON = b"\xff\xd8\xff\xe0 no image"


def without_times(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer["images"][0].items() if name != "milliseconds"}


def assert_same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Within the certificate's bound: one version may answer by onnxruntime and the other by OpenVINO, an image on all
    cores and another on one, and each adds in another order."""
    assert {**found, "boxes": None} == {**wanted, "boxes": None}
    for one, other in zip(*(sorted(each["boxes"], key=corners) for each in (found, wanted)), strict=True):
        assert one["label"] == other["label"] and corners(one) == pytest.approx(corners(other), abs=0.2)
        assert one["score"] == pytest.approx(other["score"], abs=BOUNDS["fp32"].output)


def corners(box: dict[str, Any]) -> tuple[float, ...]:
    return tuple(round(box[name], 1) for name in ("x1", "y1", "x2", "y2"))


@pytest.mark.parametrize("count", [300, pytest.param(2000, marks=pytest.mark.slow)])
def test_an_image_has_the_same_answer_alone_beside_others_and_during_swaps(
    platform: Platform, exports: dict[str, Path], images: list[bytes], count: int
) -> None:
    """32 requests at once, one in a hundred poisoned, while the alias moves five times between two versions."""
    names = [publish(platform, "squares", exports["detection"]) for _ in range(2)]
    set_alias(platform.db, "squares", "production", version="v1")

    async def run() -> None:
        async with served(platform) as client:
            alone = [(await predicted(client, image, "squares@production")).json() for image in images]
            assert {each["model"]["name"] for each in alone} == {names[0]} and all(
                each["images"][0]["boxes"] for each in alone
            )
            wanted = [without_times(each) for each in alone]
            limit, moving = asyncio.Semaphore(32), asyncio.Lock()

            async def move(version: str) -> None:
                """Returns when the alias means it, with an answer by it."""
                await asyncio.to_thread(set_alias, platform.db, "squares", "production", version=version)
                for _ in range(100):
                    name = (await predicted(client, images[0], "squares@production")).json()["model"]["name"]
                    if name == f"squares/{version}":
                        return
                    await asyncio.sleep(0.05)
                raise AssertionError(f"{version} does not answer")

            async def one(number: int) -> None:
                poisoned = number % 100 == 50
                async with limit:
                    if number % (count // 5) == 0:
                        async with moving:
                            await move(f"v{1 + number * 5 // count % 2}")
                    content = POISON if poisoned else images[number % len(images)]
                    answer = await predicted(client, content, "squares@production")
                if poisoned:
                    assert (answer.status_code, answer.json()["slug"]) == (422, "image-invalid")
                    return
                assert answer.status_code == 200, answer.text
                assert_same(without_times(answer.json()), wanted[number % len(images)])
                assert answer.json()["model"]["name"] in names

            await asyncio.gather(*map(one, range(count)))

    asyncio.run(run())


def test_of_several_images_each_has_its_own_answer(
    platform: Platform, exports: dict[str, Path], images: list[bytes]
) -> None:
    name = publish(platform, "halves", exports["classification"], kind="classification")
    given = [*images[:4], POISON, *images[4:]]
    body = {"model": name, "images": [{"base64": base64.b64encode(each).decode()} for each in given], "receipt": True}

    async def run() -> None:
        async with served(platform) as client:
            alone = [without_times((await predicted(client, each, name)).json()) for each in images]
            answer = await client.post("/predict", json=body)
            together = answer.json()["images"]
            assert together[4]["error"].startswith("The image cannot be decoded")
            assert [without_times({"images": [each]}) for each in together if not each["error"]] == alone
            assert all(len(each["labels"]) == 3 for each in together if not each["error"])
            receipt = answer.json()["receipt"]
            assert receipt["model"]["sha256"] == answer.json()["model"]["sha256"] and len(receipt["images"]) == 9

    asyncio.run(run())


def test_the_answer_that_waited_for_its_model_says_how_long(
    platform: Platform, exports: dict[str, Path], images: list[bytes]
) -> None:
    publish(platform, "squares", exports["detection"])

    async def run() -> None:
        async with served(platform) as client:
            first, second = [(await predicted(client, images[0], "squares")).json()["images"][0] for _ in range(2)]
        assert first["milliseconds"].pop("loading") > 0
        assert first["milliseconds"].keys() == second["milliseconds"].keys() >= {"queued", "inference"}

    asyncio.run(run())


def test_what_cannot_be_served_says_why(platform: Platform, exports: dict[str, Path], images: list[bytes]) -> None:
    publish(platform, "failed", exports["detection"], passed=False)
    good = publish(platform, "squares", exports["detection"])

    async def run() -> None:
        async with served(platform) as client:
            cases = {
                "failed": (409, "model-not-servable"),
                "nobody": (404, "project-not-found"),
                "squares/v9": (404, "version-not-found"),
                "squares@staging": (404, "alias-not-found"),
                "v1": (400, "request-invalid"),
                "../../etc": (400, "request-invalid"),
            }
            for name, expected in cases.items():
                answer = await predicted(client, images[0], name)
                assert (answer.status_code, answer.json()["slug"]) == expected, name
            url = {"model": good, "images": [{"url": "http://127.0.0.1:1/x.jpg"}]}
            refused = await client.post("/predict", json=url)
            assert (refused.status_code, refused.json()["slug"]) == (422, "image-url-refused")
            empty = await client.post("/predict/image", params={"model": good})
            assert empty.status_code == 400

    asyncio.run(run())


def test_a_large_image_is_predicted_by_tiles(platform: Platform, exports: dict[str, Path], tmp_path: Path) -> None:
    squares = publish(platform, "squares", exports["detection"])
    halves = publish(platform, "halves", exports["classification"], kind="classification")
    large = Image.new("RGB", (640, 480), (128, 128, 128))
    large.paste((230, 20, 20), (200, 300, 224, 324))  # 5 px where the whole image is the input
    large.save(tmp_path / "large.png")
    content = (tmp_path / "large.png").read_bytes()

    async def run() -> None:
        async with served(platform) as client:
            whole = (await predicted(client, content, squares)).json()["images"][0]
            tiled = (await predicted(client, content, squares, tile=128, overlap=0.25)).json()["images"][0]
            body = {"model": squares, "images": [{"base64": base64.b64encode(content).decode()}]}
            posted = await client.post("/predict", json=body | {"tile": 128, "overlap": 0.25})
            assert (whole["boxes"], whole["tiles"], tiled["tiles"]) == ([], 0, 35)
            assert {each["label"] for each in tiled["boxes"]} == {"red"}
            assert without_times(posted.json()) == without_times({"images": [tiled]})
            for model, query in ((halves, {"tile": 128}), (squares, {"tile": 31}), (squares, {"overlap": 0.95})):
                refused = await predicted(client, content, model, **query)
                assert (refused.status_code, refused.json()["slug"]) == (400, "request-invalid"), query

    asyncio.run(run())


def test_a_full_queue_refuses_and_loses_nothing(
    platform: Platform, exports: dict[str, Path], images: list[bytes]
) -> None:
    name = publish(platform, "squares", exports["detection"])
    small = Platform(
        platform.settings.model_copy(update={"serving_waiting": 2}), platform.db, platform.store, platform.queue
    )

    async def run() -> None:
        async with served(small) as client:
            await predicted(client, images[0], name)
            answers = await asyncio.gather(*(predicted(client, images[0], name) for _ in range(40)))
            counts = {status: [each.status_code for each in answers].count(status) for status in (200, 429)}
            assert counts[200] >= 4 and counts[429] > 0 and sum(counts.values()) == 40
            assert all(each.headers["retry-after"] == "1" for each in answers if each.status_code == 429)
            assert (await predicted(client, images[0], name)).status_code == 200

    asyncio.run(run())


def test_an_image_by_tiles_takes_the_room_of_its_tiles_and_never_all_of_it(
    platform: Platform, exports: dict[str, Path], images: list[bytes]
) -> None:
    name = publish(platform, "squares", exports["detection"])
    small = Platform(
        platform.settings.model_copy(update={"serving_waiting": 20}), platform.db, platform.store, platform.queue
    )
    large = io.BytesIO()
    Image.new("RGB", (640, 480), (128, 128, 128)).save(large, "PNG")

    async def run() -> None:
        async with served(small) as client:
            await predicted(client, images[0], name)
            tiled = partial(predicted, client, large.getvalue(), name, tile=128)
            answers = await asyncio.gather(*(tiled() for _ in range(3)))
            assert sorted(each.status_code for each in answers) == [200, 200, 429]
            beside = await asyncio.gather(tiled(), *(predicted(client, images[0], name) for _ in range(10)))
            assert [each.status_code for each in beside] == [200] * 11

    asyncio.run(run())


def test_models_that_do_not_fit_leave_the_one_used_least_recently_first(
    platform: Platform, exports: dict[str, Path], images: list[bytes]
) -> None:
    names = [publish(platform, f"squares-{number}", exports["detection"]) for number in range(3)]
    bytes_of_two = int(4.5 * exports["detection"].stat().st_size * 2)
    small = Platform(
        platform.settings.model_copy(update={"serving_memory_bytes": bytes_of_two}),
        platform.db,
        platform.store,
        platform.queue,
    )

    async def run() -> None:
        async with served(small) as client:
            for name in (names[0], names[1], names[0], names[2]):
                assert (await predicted(client, images[0], name)).status_code == 200
            loaded = [each["name"] for each in (await client.get("/models")).json()["items"]]
            assert loaded == [names[0], names[2]]
            assert (await predicted(client, images[0], names[1])).json()["model"]["name"] == names[1]

    asyncio.run(run())


def test_an_annotated_image_has_its_size_and_the_colours_of_boxes(
    platform: Platform, exports: dict[str, Path], images: list[bytes], tmp_path: Path
) -> None:
    name = publish(platform, "squares", exports["detection"])

    async def run() -> None:
        async with served(platform) as client:
            plain = (await predicted(client, images[0], name)).json()["images"][0]
            answer = await predicted(client, images[0], name, annotated=True)
            (tmp_path / "drawn.jpg").write_bytes(answer.content)
            with Image.open(tmp_path / "drawn.jpg") as drawn:
                assert drawn.size == (plain["width"], plain["height"])

    asyncio.run(run())


def test_a_name_that_nobody_uses_is_forgotten(platform: Platform, exports: dict[str, Path]) -> None:
    name = publish(platform, "squares", exports["detection"])

    async def run() -> None:
        models = Models(platform, threads=1)
        async with models.use(name) as model:
            assert models.names_of(model) == [name] and model.in_use == 1
        assert model.in_use == 0
        models.close()

    asyncio.run(run())


def test_a_query_that_comes_again_is_answered_as_the_first(
    platform: Platform, exports: dict[str, Path], images: list[bytes]
) -> None:
    """The second request goes past the router."""
    name = publish(platform, "squares", exports["detection"])
    requests: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"model": name}, {"content": images[0], "headers": {"content-type": "image/jpeg"}}),
        ({"model": name, "confidence": 0.9}, {"content": images[0]}),
        ({"model": name}, {"files": {"file": ("a.jpg", images[1], "image/jpeg")}}),
        ({"model": name}, {"content": POISON}),
        ({"model": name}, {"content": b""}),
        ({"model": name}, {"content": images[0], "headers": {"content-type": "text/plain"}}),
        ({"model": name, "confidence": 2}, {"content": images[0]}),
        ({"model": name, "konfidence": 1}, {"content": images[0]}),
        ({"model": "nobody"}, {"content": images[0]}),
    ]

    async def run() -> None:
        async with served(platform) as client:
            for params, body in requests:
                first, again = [await client.post("/predict/image", params=params, **body) for _ in range(2)]
                assert again.status_code == first.status_code, params
                if first.status_code == 200:
                    assert without_times(again.json()) == without_times(first.json())
                else:
                    assert again.json()["detail"] == first.json()["detail"]
            for method in ("GET", "PUT"):
                assert (await client.request(method, "/predict/image", params={"model": name})).status_code == 405
            counts = (await client.get("/metrics")).text
        assert 'method="POST",route="/predict/image",status="200"} 6.0' in counts

    asyncio.run(run())
