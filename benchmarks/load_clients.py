"""The clients of the load: `wrk`, idle event streams, uploads at once, and one that counts SQL statements."""

import asyncio
import hashlib
import http.client
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from sqlalchemy import event

from api.app import create_app
from benchmarks.load_server import CLIENT_CORE, Server
from benchmarks.upload import zip_stream
from core.domain.keys import upload_key
from core.logging import configure_logging
from core.services.context import open_platform
from core.settings import Settings

CONNECTIONS = 16
IDLE_SECONDS = 10.0
SETTLE_SECONDS = 2.0

# `done` prints one JSON object; wrk counts a status of 400 and above as an error.
SCRIPT = """
local paths = {%s}
math.randomseed(7)
request = function() return wrk.format("GET", paths[math.random(#paths)]) end
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\n{"requests": %%d, "microseconds": %%d, "p50": %%d, "p99": %%d, "failed": %%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def run_wrk(url: str, paths: Sequence[str], *, seconds: int) -> dict[str, Any]:
    """Requests of `paths` drawn at random, over 16 connections."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT % ", ".join(f"{json.dumps(path)}" for path in paths))
        script.flush()
        command = ["taskset", "-c", str(CLIENT_CORE), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s"]
        output = subprocess.run(
            [*command, "-s", script.name, url], check=True, capture_output=True, text=True, timeout=seconds + 60
        ).stdout
    found = json.loads(output.strip().splitlines()[-1])
    return {
        "requests": found["requests"],
        "per_second": round(found["requests"] / found["microseconds"] * 1e6),
        "p50_ms": found["p50"] / 1000,
        "p99_ms": found["p99"] / 1000,
        "failed": found["failed"],
    }


def count_statements(database_url: str, path: str) -> int:
    """SQL statements that one request executes, without BEGIN and COMMIT."""
    with tempfile.TemporaryDirectory() as home:
        platform = open_platform(Settings(home=Path(home), database_url=database_url, log_level="WARNING"))
        configure_logging(platform.settings)
        statements: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            statements.append(statement)

        event.listen(platform.db.engine, "before_cursor_execute", note)

        async def ask() -> None:
            transport = httpx.ASGITransport(create_app(platform))
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                (await client.get(path)).raise_for_status()

        asyncio.run(ask())
        platform.db.close()
    return len([each for each in statements if not each.startswith("BEGIN")])


def idle_streams_percent(server: Server, paths: Sequence[str]) -> float:
    """Processor time of the server, in percent of a core, while nothing happens on an open stream of each path."""
    return asyncio.run(_idle_streams(server, paths))


async def _idle_streams(server: Server, paths: Sequence[str]) -> float:
    address = urlsplit(server.url)
    streams = [await asyncio.open_connection(address.hostname, address.port) for _ in paths]
    for (reader, writer), path in zip(streams, paths, strict=True):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
        await reader.readuntil(b"retry: ")
    await asyncio.sleep(SETTLE_SECONDS)
    before = server.cpu_seconds()
    await asyncio.sleep(IDLE_SECONDS)
    used = server.cpu_seconds() - before
    assert not any(reader.at_eof() for reader, _writer in streams), "a stream ended"
    for _reader, writer in streams:
        writer.close()
    return round(100 * used / IDLE_SECONDS, 1)


def upload_all(server: Server, *, count: int, mib: int) -> dict[str, Any]:
    """Uploads at once. `lost`: those not answered with 202, without a row, or not stored as they were sent."""
    names = [b"noise-%03d.bin" % number for number in range(count)]
    length = sum(map(len, zip_stream(mib, names[0])))
    started = time.monotonic()
    with ThreadPoolExecutor(count) as pool:
        sent = list(pool.map(lambda name: _upload(server, mib, name, length), names))
    seconds = time.monotonic() - started
    answered = {job_id: sha256 for job_id, sha256 in sent if job_id}
    lost = count - sum(_is_kept(server, job_id, sha256) for job_id, sha256 in answered.items())
    speed = {"per_second": round(count / seconds, 1), "mb_per_second": round(count * mib * 1.048576 / seconds, 1)}
    return {"seconds": round(seconds, 2), **speed, "answered": len(answered), "lost": lost}


def _upload(server: Server, mib: int, name: bytes, length: int) -> tuple[str, str]:
    """The id of the job, empty where the service refused, and the sha256 of what was sent."""
    digest = hashlib.sha256()

    def body() -> Iterator[bytes]:
        for block in zip_stream(mib, name):
            digest.update(block)
            yield block

    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=300)
    headers = {"content-type": "application/zip", "content-length": str(length)}
    connection.request("POST", "/upload-dataset", body=body(), headers=headers)
    answer = connection.getresponse()
    content = json.loads(answer.read())
    connection.close()
    return str(content["job_id"]) if answer.status == http.client.ACCEPTED else "", digest.hexdigest()


def _is_kept(server: Server, job_id: str, sha256: str) -> bool:
    answer = httpx.get(f"{server.url}/jobs/{job_id}", trust_env=False)
    if answer.status_code != httpx.codes.OK or answer.json()["source"]["sha256"] != sha256:
        return False
    store = open_platform(Settings(home=server.home, database_url=server.database_url)).store
    digest = hashlib.sha256()
    for block in store.open(upload_key(job_id)):
        digest.update(block)
    return digest.hexdigest() == sha256
