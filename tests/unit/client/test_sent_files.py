"""Files that are sent in one request."""

import asyncio
from pathlib import Path

import httpx
import pytest

import darkroom
from darkroom import AsyncClient, Client
from darkroom._sync import transport
from tests.builders.documented_service import SCHEMAS, example

OPERATION = example(SCHEMAS["Operation"], whole=True)


class Receiving(httpx.BaseTransport):
    """Reads bodies as they come; the connection of the first breaks in its midst."""

    def __init__(self) -> None:
        self.blocks: list[list[int]] = []
        self.sent: list[tuple[str, str, bytes]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json=example(SCHEMAS["BatchDetail"], whole=True))
        blocks = [bytes(block) for block in request.stream]  # type: ignore[union-attr]  # of a synchronous client
        self.blocks.append([len(block) for block in blocks])
        self.sent.append((request.headers["idempotency-key"], request.headers["content-length"], b"".join(blocks)))
        if len(self.sent) == 1:
            raise httpx.WriteError("reset")
        return httpx.Response(202, json=OPERATION)


@pytest.mark.parametrize("method", ["batch", "import"])
def test_a_file_in_one_request_is_never_in_memory_as_a_whole_and_can_be_sent_again(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "sleep", lambda _: None)
    content = bytes(range(256)) * (3 * 4096 + 1)
    (tmp_path / "file.zip").write_bytes(content)
    service = Receiving()
    with Client("http://service", http=httpx.Client(transport=service)) as client:
        if method == "batch":
            client.batches.create("raccoons", archive=tmp_path / "file.zip")
        else:
            client.models.import_file("raccoons", tmp_path / "file.zip")
    (key, length, body), again = service.sent
    assert again == (key, length, body) and body == content and length == str(len(content))
    assert max(service.blocks[1]) <= 1024**2


class Truncating(httpx.BaseTransport):
    """Shortens the file that it receives."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        for _ in request.stream:  # type: ignore[union-attr]  # of a synchronous client
            self.file.write_bytes(bytes(100))
        return httpx.Response(202, json=OPERATION)


def test_a_file_that_becomes_shorter_while_it_is_sent_is_said_to_be_the_cause(tmp_path: Path) -> None:
    file = tmp_path / "file.zip"
    file.write_bytes(bytes(3 * 1024**2))
    http = httpx.Client(transport=Truncating(file))
    with Client("http://service", http=http) as client, pytest.raises(darkroom.LocalFileError, match="became shorter"):
        client.models.import_file("raccoons", file)


def test_the_asynchronous_client_sends_the_same_bytes(tmp_path: Path) -> None:
    content = bytes(range(256)) * (3 * 4096 + 1)
    (tmp_path / "file.onnx").write_bytes(content)
    received: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        received.append(request.content)
        return httpx.Response(202, json=OPERATION)

    async def send() -> None:
        http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
        async with AsyncClient("http://service", http=http) as client:
            await client.models.import_file("raccoons", tmp_path / "file.onnx")

    asyncio.run(send())
    assert received == [content]
