"""A hub whose answers never end: requests to it end all the same."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.domain.errors import HubUnavailable
from pipeline.hub.files import HubFile
from pipeline.params.hub_set import HubSet
from worker.inputs.hub_client import Listing, fetch, hub_client, list_set

SET = HubSet(repository="org/set")


@contextmanager
def endless_headers() -> Iterator[str]:
    """The address of a server whose answer begins, a byte now and then."""
    over = threading.Event()

    def drip() -> None:
        with suppress(OSError):
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-A: ")
                while not over.wait(0.02):
                    connection.sendall(b"a")

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        thread = threading.Thread(target=drip)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            over.set()
            thread.join(10)


@pytest.mark.parametrize("what", ["list", "file"])
@pytest.mark.parametrize("ending", ["late", "stopped"])
def test_an_answer_that_never_begins_ends_at_the_deadline_or_when_stopped(
    tmp_path: Path, what: str, ending: str
) -> None:
    began = time.monotonic()
    ends = began + (0.3 if ending == "late" else 60)

    def check() -> None:
        if ending == "stopped" and time.monotonic() > began + 0.3:
            raise InterruptedError

    def request(client: httpx.Client, endpoint: str) -> None:
        if what == "list":
            list_set(client, endpoint, SET, ends=ends, check=check)
            return
        listing, target = Listing("0" * 40, (), {}), tmp_path / "a"
        options: dict[str, Any] = {"limit_bytes": 9, "ends": ends, "check": check, "came": lambda _: None}
        fetch(client, endpoint, SET, listing, HubFile("a"), target, **options)

    wanted = {"late": (HubUnavailable, "too slow"), "stopped": (InterruptedError, None)}[ending]
    with endless_headers() as endpoint, hub_client(endpoint) as client, pytest.raises(wanted[0], match=wanted[1]):
        request(client, endpoint)
    for thread in [thread for thread in threading.enumerate() if thread.name == "hub"]:
        thread.join(5)
        assert not thread.is_alive(), "the closed client ends what was left behind"
    assert time.monotonic() - began < 5
