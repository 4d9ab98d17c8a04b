"""Predictions under the address of the API: passed on as they are, to one or several, and ended with their client."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from core.services.context import Platform
from tests.builders.served import publish
from tests.servers import free_port
from tests.servers.api import problem
from tests.servers.api import serving as api
from tests.servers.predictions import predictions
from tests.waiting import wait_until

JPEG = {"content-type": "image/jpeg"}


@pytest.fixture
def name(platform: Platform, exports: dict[str, Path]) -> str:
    return publish(platform, "squares", exports["detection"])


def sent(client: httpx.Client, image: bytes, name: str, **query: Any) -> httpx.Response:
    return client.post("/predict/image", params={"model": name, **query}, content=image, headers=JPEG)


def test_the_api_passes_images_on_and_says_when_nobody_answers(
    platform: Platform, name: str, images: list[bytes]
) -> None:
    ports = free_port(), free_port()
    urls = ", ".join(f"http://127.0.0.1:{port}" for port in ports)
    with api(platform, serving_url=urls, store_url=platform.settings.store) as client:
        down = problem(sent(client, images[0], name), 503, "serving-unavailable")
        assert "python -m serving" in down["detail"]
        with predictions(platform, port=ports[1]) as (direct, _):
            boxes = sent(direct, images[0], name).json()["images"][0]["boxes"]
            for _ in range(6):  # the other one does not answer
                assert sent(client, images[0], name).json()["images"][0]["boxes"] == boxes != []
            problem(sent(client, images[0], "nobody"), 404, "project-not-found")
            problem(sent(client, b"text", name), 422, "image-invalid")
            problem(sent(client, images[0], name, topp=3), 400, "request-invalid")
            drawn = sent(client, images[0], name, annotated=True)
            assert drawn.headers["content-type"] == "image/jpeg" and drawn.content[:2] == b"\xff\xd8"
            assert drawn.headers["darkroom-model"] == name and len(drawn.headers["darkroom-sha256"]) == 64
            form = client.post("/predict/image", params={"model": name}, files={"file": images[0]})
            assert form.json()["images"][0]["boxes"] == boxes
            listed = client.get("/serving/models").json()
            assert [each["name"] for each in listed["items"]] == [name]
            answer = client.post("/predict", json={"model": name, "images": []}, headers={"x-request-id": "mine"})
            assert answer.status_code == 400 and answer.headers["x-request-id"] == answer.json()["request_id"] == "mine"


def test_the_token_goes_along_and_a_full_queue_comes_back(platform: Platform, name: str, images: list[bytes]) -> None:
    port, token = free_port(), SecretStr("s3cret")
    url = f"http://127.0.0.1:{port}"
    with (
        predictions(platform, port=port, api_token=token) as (_, app),
        api(platform, serving_url=url, api_token="s3cret", store_url=platform.settings.store) as client,
    ):
        problem(sent(client, images[0], name), 401, "unauthorized")
        client.headers["authorization"] = "Bearer s3cret"
        assert sent(client, images[0], name).status_code == 200
        app.state.serving.pool.accepted = 10**6
        full = sent(client, images[0], name)
        problem(full, 429, "queue-full")
        assert full.headers["retry-after"] == "1"
        app.state.serving.pool.accepted = 0


def test_a_client_that_goes_ends_its_request_to_serving(platform: Platform, name: str, images: list[bytes]) -> None:
    port = free_port()
    with (
        predictions(platform, port=port, serving_threads=1) as (_, app),
        api(platform, serving_url=f"http://127.0.0.1:{port}", store_url=platform.settings.store) as client,
    ):
        assert sent(client, images[0], name).status_code == 200
        pool = app.state.serving.pool
        blocked = pool._executor.submit(time.sleep, 2.0)
        with socket.create_connection((client.base_url.host, client.base_url.port or 80)) as opened:
            head = f"POST /predict/image?model={name} HTTP/1.1\r\nhost: localhost\r\ncontent-type: image/jpeg\r\n"
            opened.sendall(f"{head}content-length: {len(images[0])}\r\n\r\n".encode() + images[0])
            wait_until(lambda: pool.accepted == 1, seconds=5, what="the image waits")
        wait_until(lambda: pool.accepted == 0, seconds=5, what="the image waits no longer")
        assert not blocked.done()


def test_clients_that_send_slowly_keep_no_other_one_out(platform: Platform, name: str, images: list[bytes]) -> None:
    port = free_port()
    with (
        predictions(platform, port=port),
        api(platform, serving_url=f"http://127.0.0.1:{port}", store_url=platform.settings.store) as client,
        ExitStack() as slow,
    ):
        head = b"POST /predict/image?model=squares HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nx"
        for _ in range(280):
            sending = slow.enter_context(socket.create_connection((client.base_url.host, client.base_url.port or 0)))
            sending.sendall(head)
        time.sleep(0.5)
        assert sent(client, images[0], name).status_code == 200


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"], ids=["before", "within"])
def test_a_serving_that_dies_is_no_error_of_the_api(
    platform: Platform, name: str, images: list[bytes], answer: bytes
) -> None:
    with (
        dying(answer) as port,
        api(platform, serving_url=f"http://127.0.0.1:{port}", store_url=platform.settings.store) as client,
    ):
        if answer:
            with pytest.raises(httpx.RemoteProtocolError):
                sent(client, images[0], name)
        else:
            unavailable = sent(client, images[0], name)
            problem(unavailable, 503, "serving-unavailable")
            assert unavailable.headers["retry-after"]


@contextmanager
def dying(answer: bytes) -> Iterator[int]:
    """A server that takes one request, sends `answer`, and closes the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def run() -> None:
            opened, _ = listening.accept()
            with opened:
                opened.recv(10**6)
                opened.sendall(answer)
                opened.shutdown(socket.SHUT_WR)
                opened.recv(10**6)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(10)
