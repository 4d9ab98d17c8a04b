"""A web server with one file, on an address of loopback that stands for the public network, and all its faults."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

OUTSIDE, INSIDE = "127.0.0.2", "127.0.0.1"


@dataclass
class FileHost:
    """`breaks`: after how many bytes each of the next answers breaks off. `redirects`: path -> location.

    `slow`: a byte every 20 ms. `statuses`: of the next answers, instead of the file.
    """

    content: bytes = b""
    etag: str = '"one"'
    port: int = 0
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/zip"})
    breaks: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)
    with_length: bool = True
    with_ranges: bool = True
    with_conditions: bool = True  # heeds If-Range
    slow: bool = False
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)  # path, headers in lower case
    sending: threading.Event = field(default_factory=threading.Event)
    closing: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "/data.zip", host: str = "files.example") -> str:
        return f"http://{host}:{self.port}{path}"

    def ranges(self) -> list[str | None]:
        return [headers.get("range") for _, headers in self.requests]


@contextmanager
def file_host(address: str = OUTSIDE, port: int = 0) -> Iterator[FileHost]:
    opened = FileHost()

    class Handler(_Handler):
        host = opened

    server = ThreadingHTTPServer((address, port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    opened.port = server.server_port
    try:
        yield opened
    finally:
        opened.closing.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


class _Handler(BaseHTTPRequestHandler):
    host: FileHost
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        host = self.host
        headers = {name.lower(): value for name, value in self.headers.items()}
        host.requests.append((self.path, headers))
        self.close_connection = True
        if host.statuses:
            self._head(host.statuses.pop(0), {"Content-Length": "0"})
        elif location := host.redirects.get(self.path.partition("?")[0]):
            self._head(302, {"Location": location, "Content-Length": "0"})
        else:
            self._send(headers)

    def _send(self, wanted: dict[str, str]) -> None:
        host, content = self.host, self.host.content
        start = 0
        same = not host.with_conditions or wanted.get("if-range", host.etag) == host.etag
        if host.with_ranges and "range" in wanted and same:
            start = int(wanted["range"].removeprefix("bytes=").rstrip("-"))
        rest = content[start:]
        more = {**host.headers, "ETag": host.etag}
        if host.with_length:
            more["Content-Length"] = str(len(rest))
        if start:
            more["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._head(206 if start else 200, more)
        host.sending.set()
        try:
            if host.slow:
                self._drip(rest)
            else:
                self.wfile.write(rest[: host.breaks.pop(0) if host.breaks else None])
        except OSError:  # the client has gone
            return

    def _drip(self, content: bytes) -> None:
        for at in range(len(content)):
            if self.host.closing.wait(0.02):
                return
            self.wfile.write(content[at : at + 1])
            self.wfile.flush()

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: a test reads `requests`."""
