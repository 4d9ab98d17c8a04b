"""A stand-in for a Hugging Face hub on loopback: the two routes of its API that the worker uses, and its storage.

It answers as the hub does: a listing with digests, `X-Error-Code`, 401 for an unknown repository, a redirect.
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

Files = dict[str, bytes]


@dataclass
class Repository:
    """`revisions`: branch or tag -> commit; `commits`: commit -> files. The newest commit is that of `main`."""

    revisions: dict[str, str] = field(default_factory=dict)
    commits: dict[str, Files] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)
    gated: bool = False
    granted: frozenset[str] = frozenset()  # tokens whose accounts have access, where it is gated

    def commit(self, files: Files) -> str:
        named = "".join(f"{name} {hashlib.sha256(content).hexdigest()}" for name, content in files.items())
        commit = hashlib.sha1(named.encode(), usedforsecurity=False).hexdigest()
        self.commits[commit] = files
        self.revisions["main"] = commit
        return commit


@dataclass
class Hub:
    """`faults`: kind -> how many of the next downloads (`short`, `damaged`, `slow`) or requests (`busy`) fail."""

    endpoint: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    tokens: frozenset[str] = frozenset()  # that the hub knows
    storage: str = ""  # the origin that downloads are redirected to; empty: the hub's own
    authorized: list[tuple[str, str]] = field(default_factory=list)  # path and `authorization` of requests with one
    fetching: threading.Event = field(default_factory=threading.Event)
    closing: threading.Event = field(default_factory=threading.Event)

    def add(self, name: str, files: Files, **more: Any) -> str:
        """The commit of a new repository."""
        self.repositories[name] = Repository(**more)
        return self.repositories[name].commit(files)

    def fault(self, name: str) -> bool:
        left = self.faults.get(name, 0)
        self.faults[name] = max(0, left - 1)
        return left > 0


@contextmanager
def hub() -> Iterator[Hub]:
    opened = Hub()

    class Handler(_Handler):
        hub = opened

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    opened.endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        yield opened
    finally:
        opened.closing.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.hub.requests.append(self.path)
        if sent := self.headers.get("authorization"):
            self.hub.authorized.append((path, sent))
            if sent.removeprefix("Bearer ") not in self.hub.tokens:
                self._answer(401, b'{"error": "Invalid credentials in Authorization header"}')
                return
        kind, _, rest = path.lstrip("/").partition("/")
        if self.hub.fault("busy"):
            self._answer(503, b"busy")
        elif kind == "api" and rest.startswith("datasets/"):
            name, _, revision = rest.removeprefix("datasets/").partition("/revision/")
            self._list(name, unquote(revision))
        elif kind == "datasets":
            name, _, path = rest.partition("/resolve/")
            self._resolve(name, *(unquote(part) for part in path.split("/", 1)))
        elif kind == "storage":
            self._send(rest)
        else:
            self._answer(404, b"")

    def _list(self, name: str, revision: str) -> None:
        repository = self.hub.repositories.get(name)
        if repository is None:
            self._answer(401, b'{"error": "Invalid username or password."}')
            return
        commit = repository.revisions.get(revision, revision)
        if commit not in repository.commits:
            self._answer(404, b'{"error": "Invalid rev id"}', **{"X-Error-Code": "RevisionNotFound"})
            return
        info = {
            "id": name,
            "sha": commit,
            "gated": "auto" if repository.gated else False,
            "private": False,
            "cardData": repository.card,
            "siblings": [_sibling(path, content) for path, content in repository.commits[commit].items()],
        }
        self._answer(200, json.dumps(info).encode(), **{"Content-Type": "application/json"})

    def _resolve(self, name: str, commit: str, path: str) -> None:
        repository = self.hub.repositories[name]
        token = self.headers.get("authorization", "").removeprefix("Bearer ")
        if repository.gated and token not in repository.granted:
            self._answer(403 if token else 401, b"", **{"X-Error-Code": "GatedRepo"})
            return
        content = repository.commits[commit].get(path)
        if content is None:
            self._answer(404, b"", **{"X-Error-Code": "EntryNotFound"})
            return
        digest = hashlib.sha256(content).hexdigest()
        self._answer(302, b"", Location=f"{self.hub.storage}/storage/{name}/{commit}/{digest}")

    def _send(self, stored: str) -> None:
        name, commit, digest = stored.rsplit("/", 2)
        files = self.hub.repositories[name].commits[commit].values()
        content = next(each for each in files if hashlib.sha256(each).hexdigest() == digest)
        self.hub.fetching.set()
        short = len(content) // 2 if self.hub.fault("short") else len(content)
        if short == len(content) and self.hub.fault("damaged"):
            content = bytes([content[0] ^ 1]) + content[1:]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.hub.fault("slow"):
            self._drip(content)
            return
        self.wfile.write(content[:short])
        self.close_connection = short < len(content)

    def _drip(self, content: bytes) -> None:
        """A byte every 20 ms, until the client disconnects or the hub closes."""
        for at in range(len(content)):
            if self.hub.closing.wait(0.02):
                break
            try:
                self.wfile.write(content[at : at + 1])
                self.wfile.flush()
            except OSError:
                break
        self.close_connection = True

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: a test reads `requests`."""


def _sibling(path: str, content: bytes) -> dict[str, Any]:
    git = hashlib.sha1(f"blob {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()
    sibling: dict[str, Any] = {"rfilename": path, "size": len(content), "blobId": git}
    if path.endswith(".parquet"):  # the hub stores it as a large file; its git object is a pointer
        sibling["blobId"] = hashlib.sha1(path.encode(), usedforsecurity=False).hexdigest()
        sibling["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return sibling
