"""The demo's requests to the API, over plain HTTP: any client can do the same."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx

from deploy.local.private_stack import DemoFailed

CHUNK_BYTES = 1024 * 1024
POLL_SECONDS = 1.0


class Client:
    """Methods return the JSON objects of the API. They raise DemoFailed for every problem in an answer."""

    def __init__(self, api_url: str, *, token: str = "") -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=api_url, headers=headers, timeout=httpx.Timeout(30.0, read=90.0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, **query: str | int) -> dict[str, Any]:
        return _json(self._http.get(path, params=query))

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return _json(self._http.post(path, json=body, headers=_key()))

    def put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return _json(self._http.put(path, json=body))

    def upload(self, archive: Path, *, project: str = "", on_bytes: Callable[[int], None]) -> dict[str, Any]:
        """Sends the archive as a raw body, a chunk at a time; `on_bytes` gets the size of each."""
        headers = {"Content-Type": "application/zip", "Content-Length": str(archive.stat().st_size), **_key()}
        body, options = _chunks(archive, on_bytes), {"name": archive.name} | ({"project": project} if project else {})
        return _json(self._http.post("/upload-dataset", params=options, content=body, headers=headers))

    def follow(self, path: str, *, ended: frozenset[str]) -> Iterator[dict[str, Any]]:
        """Yields the job or run every second until its state is one of `ended`; that state comes last."""
        while True:
            thing = self.get(path)
            yield thing
            if thing["state"] in ended:
                return
            time.sleep(POLL_SECONDS)

    def events(self, path: str) -> Iterator[dict[str, Any]]:
        """Yields the events of a job or run, from the first to `end`: {seq, type, at, data}."""
        last = "0"
        while True:
            with self._http.stream("GET", path, headers={"Last-Event-ID": last}) as answer:
                if answer.status_code == httpx.codes.NO_CONTENT:
                    return
                for line in answer.iter_lines():
                    name, _, value = line.partition(": ")
                    last = value if name == "id" else last
                    if name == "data" and "type" in (event := json.loads(value)):
                        yield event

    def download(self, path: str, to: Path, *, sha256: str = "") -> Path:
        """Raises DemoFailed when `sha256` is given and the bytes have another."""
        digest = hashlib.sha256()
        with self._http.stream("GET", path, follow_redirects=True) as answer, to.open("wb") as file:
            if answer.is_error:
                answer.read()
                _json(answer)
            for chunk in answer.iter_bytes(CHUNK_BYTES):
                digest.update(chunk)
                file.write(chunk)
        if sha256 and digest.hexdigest() != sha256:
            raise DemoFailed(f"{path} has sha256 {digest.hexdigest()}; expected {sha256}.")
        return to


def _key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid4())}


def _chunks(path: Path, on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
            on_bytes(len(chunk))


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        body: dict[str, Any] = answer.json()
    except json.JSONDecodeError:
        raise DemoFailed(f"{answer.url} answered {answer.status_code} without JSON.") from None
    if answer.is_error:
        raise DemoFailed(f"{answer.url} answered {answer.status_code}: {body.get('title')}. {body.get('detail')}")
    return body
