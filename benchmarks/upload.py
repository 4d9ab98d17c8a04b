"""What an upload costs the API: `python -m benchmarks.upload [--mib 2048]`.

A `python -m api` in a home of its own receives a ZIP of the given size (one stored entry, generated while it is
sent) in each way there is: as one raw body, as a multipart form, and as resumable chunks with checksums. Prints one
JSON line for each: seconds, MB/s, and the peak growth of the process's resident memory in MiB, sampled every 50 ms from
before the first byte to the answer. Exit status 1 when one grew by 64 MiB or more.
"""

import argparse
import base64
import hashlib
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil

from core.db.migrate import upgrade
from deploy.local.private_stack import free_ports

MIB = 1024**2
ALLOWED_MIB = 64
SAMPLE_SECONDS = 0.05
CHUNK_BYTES = 16 * MIB
BLOCK = random.Random(0).randbytes(MIB)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=2048)
    args = parser.parse_args()
    ways: dict[str, Callable[[httpx.Client, int], str]] = {"raw": raw, "form": form, "resumable": resumable}
    grown = [measure(name, send, args.mib) for name, send in ways.items()]
    return 0 if max(grown) < ALLOWED_MIB else 1


def measure(name: str, send: Callable[[httpx.Client, int], str], mib: int) -> float:
    """Each way has a service of its own: the pages that one upload leaves would hide the growth of the next."""
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as folder:
        (port,) = free_ports(1)
        settings = {"DARKROOM_HOME": folder, "DARKROOM_API_PORT": str(port)}
        upgrade(f"sqlite:///{Path(folder).resolve() / 'darkroom.db'}")
        with (Path(folder) / "api.log").open("wb") as log:
            process = subprocess.Popen([sys.executable, "-m", "api"], env=os.environ | settings, stdout=log, stderr=log)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=600) as client:
                _wait(client)
                send(client, 1)  # the first upload imports modules, which is no growth with the size
                before, peak, stop = _sample(process.pid)
                started = time.monotonic()
                sha256 = send(client, mib)
                seconds = time.monotonic() - started
                stop.set()
                newest = client.get("/jobs", params={"limit": 1}).json()["items"][0]
                assert newest["source"]["sha256"] == sha256, "the service stored other bytes"
        finally:
            process.kill()
            process.wait()
    grown = round((max(peak) - before) / MIB, 1)
    size = newest["source"]["bytes"]
    figures = {"seconds": round(seconds, 1), "mb_per_second": round(size / seconds / 1e6, 1)}
    memory = {"rss_before_mib": round(before / MIB, 1), "rss_grown_mib": grown, "allowed_mib": ALLOWED_MIB}
    print(json.dumps({"benchmark": "upload", "way": name, "bytes": size, **figures, **memory}), flush=True)
    return grown


def raw(client: httpx.Client, mib: int) -> str:
    digest = hashlib.sha256()
    body = _hashed(zip_stream(mib), digest)
    _job(client.post("/upload-dataset", content=body, headers={"content-type": "application/zip"}))
    return digest.hexdigest()


def form(client: httpx.Client, mib: int) -> str:
    digest = hashlib.sha256()

    def body() -> Iterator[bytes]:
        yield b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.zip"\r\n\r\n'
        yield from _hashed(zip_stream(mib), digest)
        yield b"\r\n--b--\r\n"

    _job(client.post("/upload-dataset", content=body(), headers={"content-type": "multipart/form-data; boundary=b"}))
    return digest.hexdigest()


def resumable(client: httpx.Client, mib: int) -> str:
    length = sum(map(len, zip_stream(mib)))
    tus = {"tus-resumable": "1.0.0"}
    path = client.post("/uploads", headers={**tus, "upload-length": str(length)}).headers["location"]
    digest, offset = hashlib.sha256(), 0
    for chunk in _chunks(_hashed(zip_stream(mib), digest)):
        checksum = base64.b64encode(hashlib.sha256(chunk).digest()).decode()
        headers = {**tus, "upload-offset": str(offset), "upload-checksum": f"sha256 {checksum}"}
        answer = client.patch(
            path, content=chunk, headers=headers | {"content-type": "application/offset+octet-stream"}
        )
        assert answer.status_code == 204, answer.text
        offset += len(chunk)
    while not client.get(path).json()["job_id"]:
        time.sleep(0.2)
    return digest.hexdigest()


def zip_stream(mib: int, name: bytes = b"noise.bin") -> Iterator[bytes]:
    """A ZIP with one stored entry of `mib` MiB, in zip64."""
    size = mib * MIB
    crc = 0
    for _ in range(mib):
        crc = zlib.crc32(BLOCK, crc)
    extra = struct.pack("<HHQQ", 1, 16, size, size)
    header = struct.pack("<4s5H3L2H", b"PK\3\4", 45, 0, 0, 0, 0, crc, 2**32 - 1, 2**32 - 1, len(name), len(extra))
    yield header + name + extra
    for _ in range(mib):
        yield BLOCK
    at = len(header) + len(name) + len(extra) + size
    big = 2**32 - 1
    extra = struct.pack("<HHQQ", 1, 16, size, size)
    central = struct.pack(
        "<4s6H3L5H2L", b"PK\1\2", 45, 45, 0, 0, 0, 0, crc, big, big, len(name), len(extra), 0, 0, 0, 0, 0
    )
    directory = central + name + extra
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, len(directory), at)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, at + len(directory), 1)
    yield directory + end64 + locator + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(directory), big, 0)


def _hashed(blocks: Iterator[bytes], digest: Any) -> Iterator[bytes]:
    for block in blocks:
        digest.update(block)
        yield block


def _chunks(blocks: Iterator[bytes]) -> Iterator[bytes]:
    chunk = bytearray()
    for block in blocks:
        chunk += block
        if len(chunk) >= CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
    yield bytes(chunk)


def _job(answer: httpx.Response) -> None:
    assert answer.status_code == 202, answer.text


def _sample(pid: int) -> tuple[int, list[int], threading.Event]:
    """Resident bytes now, a list whose only item is the peak, and the event that ends the sampling."""
    process, stop = psutil.Process(pid), threading.Event()
    before = process.memory_info().rss
    peak = [before]

    def sample() -> None:
        while not stop.wait(SAMPLE_SECONDS):
            peak[0] = max(peak[0], process.memory_info().rss)

    threading.Thread(target=sample, daemon=True).start()
    return before, peak, stop


def _wait(client: httpx.Client) -> None:
    for _ in range(600):
        try:
            client.get("/health")
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise SystemExit("the service did not start within 60 s")


if __name__ == "__main__":
    sys.exit(main())
