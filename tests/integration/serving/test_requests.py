"""What a request for a prediction may send, and who may send it; clients that go, and a service that is full."""

import base64
import io
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from core.services.context import Platform
from http_common import remote_address
from pipeline.predictor.engines import EngineFailed
from serving import drawings, large_answers, pool
from serving.annotate import annotated
from serving.routes import predict
from tests.builders.served import publish
from tests.servers.predictions import predictions
from tests.waiting import wait_until

JPEG = {"content-type": "image/jpeg"}


@pytest.fixture
def name(platform: Platform, exports: dict[str, Path]) -> str:
    return publish(platform, "squares", exports["detection"])


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["slug"]


def test_an_image_comes_as_bytes_or_in_a_form_and_within_its_limits(
    platform: Platform, name: str, images: list[bytes]
) -> None:
    with predictions(platform, image_max_bytes=100_000) as (client, app):

        def sent(**request: Any) -> httpx.Response:
            return client.post("/predict/image", params={"model": name}, **request)

        plain = sent(content=images[0], headers=JPEG).json()["images"][0]["boxes"]
        assert plain
        form = {"file": ("x.jpg", images[0], "image/jpeg")}
        by_curl = {"content": images[0], "headers": {"content-type": "application/x-www-form-urlencoded"}}
        for request in ({"files": form}, {"content": iter([images[0]])}, {"content": images[0]}, by_curl):
            assert sent(**request).json()["images"][0]["boxes"] == plain
        large, cut_form = bytes(200_000), {"content-type": "multipart/form-data; boundary=x"}
        cases: list[tuple[dict[str, Any], int, str]] = [
            ({"content": large, "headers": JPEG}, 413, "upload-too-large"),
            ({"content": iter([large[:150_000], large]), "headers": JPEG}, 413, "upload-too-large"),
            ({"files": {"file": ("x.jpg", large, "image/jpeg")}}, 413, "upload-too-large"),
            ({"files": {"other": ("x.jpg", images[0], "image/jpeg")}}, 400, "upload-invalid"),
            ({"files": form, "data": {"file": "twice"}}, 400, "upload-invalid"),
            ({"content": b"--x", "headers": cut_form}, 400, "upload-invalid"),
            ({"content": images[0], "headers": {"content-type": "text/html"}}, 415, "media-type-unsupported"),
            ({"data": {"file": "x"}}, 415, "media-type-unsupported"),
            ({"content": b"", "headers": JPEG}, 400, "request-invalid"),
            ({"content": images[0][:200], "headers": JPEG}, 422, "image-invalid"),
        ]
        for request, status, slug in cases:
            assert problem(sent(**request)) == (status, slug), request
        assert app.state.serving.intake.bytes == 0


def test_json_is_limited_and_its_mistakes_are_named(platform: Platform, name: str, images: list[bytes]) -> None:
    text = base64.b64encode(images[0]).decode()
    with predictions(platform, image_max_bytes=100_000) as (client, app):

        def sent(body: Any, kind: str = "application/json") -> httpx.Response:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            return client.post("/predict", content=content, headers={"content-type": kind})

        good = {"model": name, "images": [{"base64": f"data:image/jpeg;base64,{text}"}]}
        assert sent(good).json()["images"][0]["boxes"]
        assert problem(sent(good, "text/plain")) == (400, "request-invalid")
        assert problem(sent({**good, "images": [{"base64": "A" * 250_000}]})) == (413, "upload-too-large")
        assert problem(sent(b"[" * 100_000)) == (400, "request-invalid")
        cases: list[tuple[Any, str]] = [
            (b"{", "body"),
            ({**good, "modle": 1}, "modle"),
            ({**good, "top": 0}, "top"),
            ({**good, "confidence": float("nan")}, "confidence"),
            ({**good, "model": "a\x00b"}, "model"),
            ({**good, "images": []}, "images"),
            ({**good, "images": [{}]}, "images.0"),
            ({**good, "images": [{"base64": text, "url": "http://x/"}]}, "images.0"),
        ]
        for body, field in cases:
            answer = sent(body)
            assert problem(answer) == (400, "request-invalid"), body
            assert answer.json().get("errors", [{"field": "model"}])[0]["field"] == field
        many = sent(good | {f"field-{number}": 1 for number in range(3000)})
        assert problem(many) == (400, "request-invalid") and len(many.content) < 20_000
        assert app.state.serving.intake.bytes == 0


def test_one_image_that_cannot_be_read_fails_alone(
    platform: Platform, name: str, images: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = base64.b64encode(images[0]).decode()
    sources = [{"base64": text}, {"url": "http://127.0.0.1:1/x.jpg"}, {"base64": "no base64"}, {"base64": text}]
    sources += [{"url": "http://elsewhere.example/x.jpg"}, {"base64": base64.b64encode(b"text").decode()}]
    with predictions(platform, image_hosts="127.0.0.1:1") as (client, app):
        body = client.post("/predict", json={"model": name, "images": sources}).json()
        reasons = [each["error"] for each in body["images"]]
        assert reasons[0] is reasons[3] is None and body["images"][0]["boxes"] == body["images"][3]["boxes"] != []
        for index, reason in ((1, "address inside"), (2, "not base64"), (4, "not fetched from elsewhere"), (5, "text")):
            assert reason in reasons[index]
        monkeypatch.setattr(remote_address, "is_public", lambda _: True)
        body = client.post("/predict", json={"model": name, "images": sources[1:2]}).json()
        assert "cannot be fetched: nothing accepts the connection" in body["images"][0]["error"]
        assert app.state.serving.intake.bytes == 0


def test_an_engine_that_fails_on_an_image_is_no_fault_of_the_image_nor_of_the_others(
    platform: Platform, name: str, images: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    computing = pool.ExportPredictor.predict

    def failing(self: pool.ExportPredictor, contents: list[bytes], **options: Any) -> Any:
        if contents[0] == images[1]:
            raise EngineFailed("The engine cannot run the export: out of memory")
        return computing(self, contents, **options)

    sources = [{"base64": base64.b64encode(each).decode()} for each in images[:3]]
    tensor = {"name": "image", "shape": [3], "datatype": "BYTES", "data": [each["base64"] for each in sources]}
    with predictions(platform) as (client, _):
        alone = [client.post("/predict", json={"model": name, "images": [each]}).json() for each in sources]
        monkeypatch.setattr(pool.ExportPredictor, "predict", failing)
        body = client.post("/predict", json={"model": name, "images": sources}).json()
        assert [each["error"] for each in body["images"]] == [
            None,
            "The engine cannot run the export: out of memory",
            None,
        ]
        for index in (0, 2):
            assert body["images"][index]["boxes"] == alone[index]["images"][0]["boxes"] != []
        single = client.post("/predict/image", params={"model": name}, content=images[1], headers=JPEG)
        assert problem(single) == (409, "model-not-servable")
        assert client.post(f"/v2/models/{name}/infer", json={"inputs": [tensor]}).status_code == 409


def test_a_full_service_refuses_before_it_reads(platform: Platform, name: str, images: list[bytes]) -> None:
    head = f"POST /predict/image?model={name} HTTP/1.1\r\nhost: localhost\r\ncontent-type: image/jpeg\r\n"
    head += "content-length: 30000000\r\n\r\n"
    with predictions(platform, serving_body_bytes=1) as (client, app):
        serving = app.state.serving
        with serving.intake.room(10**12) as room:
            room.add(serving.intake.max_bytes - 1_000_000)
            assert b"429" in answer_to(client, head)
        serving.pool.accepted = 10**6
        try:
            answer = answer_to(client, head)
            assert b"429" in answer and b"retry-after: 1" in answer
        finally:
            serving.pool.accepted = 0
        sent = client.post("/predict/image", params={"model": name}, content=images[0], headers=JPEG)
        assert sent.status_code == 200


def answer_to(client: httpx.Client, head: str) -> bytes:
    with connected(client) as opened:
        opened.sendall(head.encode())
        return opened.recv(65536)


def connected(client: httpx.Client) -> socket.socket:
    opened = socket.create_connection((client.base_url.host, client.base_url.port or 80))
    opened.settimeout(20)
    return opened


def test_a_body_that_arrives_too_slowly_gives_its_room_back(platform: Platform, name: str) -> None:
    with predictions(platform, idle_seconds=0.3) as (client, app), connected(client) as connection:
        head = f"POST /predict/image?model={name} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9000000\r\n\r\n"
        connection.sendall(head.encode())
        wait_until(lambda: app.state.serving.intake.bytes >= 9_000_000, seconds=5, what="room is taken")
        connection.settimeout(0.1)  # within the limit of a pause
        answer = b""
        for _ in range(100):
            try:
                answer = connection.recv(1000)
                break
            except TimeoutError:
                connection.sendall(b"x")
        assert b" 408 " in answer and b"8 KiB a second" in answer
        assert app.state.serving.intake.bytes == 0


def test_an_answer_that_is_not_read_counts_and_ends(
    platform: Platform, name: str, images: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_answers, "LARGE_BYTES", 1000)
    monkeypatch.setattr(predict, "annotated", lambda *_: bytes(20_000_000))
    with predictions(platform) as (client, app):
        intake = app.state.serving.intake
        assert len(client.post(f"/predict/image?model={name}&annotated=true", content=images[0]).content) == 20_000_000
        intake.seconds_for = lambda _: 1.0
        with connected(client) as connection:
            head = f"POST /predict/image?model={name}&annotated=true HTTP/1.1\r\nhost: localhost\r\n"
            connection.sendall(f"{head}content-length: {len(images[0])}\r\n\r\n".encode() + images[0])
            wait_until(lambda: intake.bytes == 20_000_000, seconds=10, what="the answer counts")
            wait_until(lambda: intake.bytes == 0, seconds=10, what="it is given up")


def test_drawings_keep_no_thread_from_others_and_are_refused_beyond_their_limit(
    platform: Platform, name: str, images: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def slow(*given: Any) -> bytes:
        assert go_on.wait(60)
        return annotated(*given)

    monkeypatch.setattr(predict, "annotated", slow)
    with Image.open(io.BytesIO(images[0])) as image:
        monkeypatch.setattr(drawings, "MAX_PIXELS", 6 * image.width * image.height)
    with predictions(platform) as (client, app), ThreadPoolExecutor(8) as senders:

        def sent(*, drawn: bool) -> httpx.Response:
            query: dict[str, Any] = {"model": name, "annotated": drawn}
            return client.post("/predict/image", params=query, content=images[0], headers=JPEG)

        try:
            waiting = [senders.submit(sent, drawn=True) for _ in range(8)]
            wait_until(lambda: sum(each.done() for each in waiting) == 2, seconds=20, what="two are refused")
            refused = [each.result() for each in waiting if each.done()]
            assert [problem(each) for each in refused] == [(429, "queue-full")] * 2
            assert [each.headers["retry-after"] for each in refused] == ["1"] * 2
            assert refused[0].json()["limit_pixels"] == drawings.MAX_PIXELS
            assert [sent(drawn=False).status_code for _ in range(5)] == [200] * 5, "and these pass those that wait"
        finally:
            go_on.set()
        answers = [each.result() for each in waiting if each.result().status_code == 200]
        assert len(answers) == 6 and {each.headers["content-type"] for each in answers} == {"image/jpeg"}
        assert app.state.serving.drawings.pixels == 0


def test_the_images_of_a_client_that_goes_are_not_computed(
    platform: Platform, name: str, images: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with predictions(platform, serving_threads=1) as (client, app):
        warm = client.post("/predict/image", params={"model": name}, content=images[0], headers=JPEG)
        assert warm.status_code == 200
        pool = app.state.serving.pool
        blocked = pool._executor.submit(time.sleep, 1.0)
        head = f"POST /predict/image?model={name} HTTP/1.1\r\nhost: localhost\r\ncontent-type: image/jpeg\r\n"
        for _ in range(5):
            with connected(client) as opened:
                opened.sendall(f"{head}content-length: {len(images[0])}\r\n\r\n".encode() + images[0])
                wait_until(lambda: pool.accepted == 1, seconds=5, what="the image waits")
            wait_until(lambda: pool.accepted == 0, seconds=5, what="the image waits no longer")
        assert not blocked.done(), "while the thread was busy"
        blocked.result()
        assert client.get("/models").json()["items"][0]["requests"] == 1
        assert app.state.serving.intake.bytes == 0


def test_the_tiles_of_a_client_that_goes_are_not_computed(
    platform: Platform, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    large, runs = io.BytesIO(), []
    Image.new("RGB", (1280, 960), (128, 128, 128)).save(large, "PNG")
    computing = pool.ExportPredictor._boxes_of_parts

    def slow(*args: Any) -> Any:
        runs.append(1)
        time.sleep(0.2)
        return computing(*args)

    with predictions(platform, serving_threads=1) as (client, app):
        query = {"model": name, "tile": 128}
        assert client.post("/predict/image", params=query, content=large.getvalue(), headers=JPEG).status_code == 200
        monkeypatch.setattr(pool.ExportPredictor, "_boxes_of_parts", slow)
        head = f"POST /predict/image?model={name}&tile=128 HTTP/1.1\r\nhost: localhost\r\ncontent-type: image/jpeg\r\n"
        with connected(client) as opened:
            opened.sendall(f"{head}content-length: {len(large.getvalue())}\r\n\r\n".encode() + large.getvalue())
            wait_until(lambda: bool(runs), seconds=5, what="the first tiles are computed")
        wait_until(lambda: app.state.serving.pool.accepted == 0, seconds=5, what="the client is gone")
        app.state.serving.pool._executor.submit(int).result(5)
        assert len(runs) < 4, "of 9"


def test_a_prediction_that_takes_too_long_is_given_up(platform: Platform, name: str, images: list[bytes]) -> None:
    with predictions(platform, serving_threads=1, serving_answer_seconds=2.0) as (client, app):
        assert client.post("/predict/image", params={"model": name}, content=images[0], headers=JPEG).status_code == 200
        app.state.serving.pool._executor.submit(time.sleep, 3.0)
        late = client.post("/predict/image", params={"model": name}, content=images[0], headers=JPEG)
        assert problem(late) == (503, "prediction-timed-out") and late.headers["retry-after"]


def test_the_rules_of_the_api_about_tokens_hosts_and_pages_apply(platform: Platform, name: str) -> None:
    with predictions(platform) as (client, _):
        for headers in ({"host": "evil.example"}, {"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
            for path in ("/predict", "/predict/image", f"/v2/models/{name}/infer"):
                assert client.post(path, headers=headers).status_code == 400
    from pydantic import SecretStr

    with predictions(platform, api_token=SecretStr("s3cret")) as (client, _):
        for path in ("/", "/models", "/metrics", "/openapi.json", "/v2", "/v2/health/ready"):
            assert client.get(path).status_code == 401
            assert client.get(path, headers={"authorization": "Bearer s3cret"}).status_code == 200
        assert client.post("/predict").status_code == client.post("/predict/image").status_code == 401
        assert client.get("/health").status_code == client.get("/ready").status_code == 200
