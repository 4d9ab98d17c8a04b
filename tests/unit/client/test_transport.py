"""What the client does when requests fail: what is sent again, with which key, and what is raised."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import darkroom
from darkroom import Client
from darkroom._sync import downloads, transport, work
from darkroom.login import Login, login_path, read_login, resolve_login, write_login
from tests.builders.documented_service import SCHEMAS, example

RUN = example(SCHEMAS["Run"], whole=True)
CONTENT = bytes(range(256)) * 20


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[float]:
    """The pauses, which take no time; no login file but that of the test."""
    pauses: list[float] = []
    for module in (transport, work, downloads):
        monkeypatch.setattr(module, "sleep", pauses.append)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return pauses


def client_of(answer: Callable[[httpx.Request], httpx.Response], **more: Any) -> Client:
    return Client("http://service", http=httpx.Client(transport=httpx.MockTransport(answer)), **more)


def problem(status: int, slug: str, **facts: Any) -> httpx.Response:
    body = {"slug": slug, "title": "It is so", "detail": "Why.", "status": status, "request_id": "req_1", **facts}
    return httpx.Response(status, json=body, headers={"retry-after": "3"} if status in (429, 503) else {})


def test_a_request_is_sent_again_with_the_same_key_after_the_time_the_service_names(slept: list[float]) -> None:
    keys: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json=RUN)
        keys.append(request.headers["idempotency-key"])
        if len(keys) == 1:
            raise httpx.ReadError("reset")
        return problem(503, "unavailable") if len(keys) == 2 else httpx.Response(202, json=RUN)

    with client_of(answer) as client:
        assert client.runs.train("job_1").run_id == RUN["run_id"]
        client.runs.train("job_1")
    assert len(keys) == 4 and len(set(keys)) == 2, "one key for each call"
    assert slept[1] == 3.0


def test_a_deletion_that_may_have_happened_is_not_sent_again() -> None:
    sent: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.method)
        raise httpx.ReadError("reset")

    with client_of(answer) as client, pytest.raises(darkroom.ServiceUnreachable, match=r"http://service does not"):
        client.evaluations.delete("evaluation_1")
    assert sent == ["DELETE"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, darkroom.NotAuthenticated),
        (404, darkroom.NotFound),
        (409, darkroom.Conflict),
        (410, darkroom.Deleted),
        (422, darkroom.RequestInvalid),
        (429, darkroom.TooManyRequests),
        (503, darkroom.ServiceUnavailable),
        (500, darkroom.DarkroomError),
    ],
)
def test_a_problem_is_an_error_with_its_facts(status: int, kind: type[darkroom.DarkroomError]) -> None:
    errors = [{"field": "epochs", "message": "must be at least 1"}]
    client = client_of(lambda _: problem(status, "a-slug", state="ready", errors=errors))
    with client, pytest.raises(kind) as raised:
        client.runs.get("run_1")
    error = raised.value
    assert (error.slug, error.status, error.request_id, error.facts["state"]) == ("a-slug", status, "req_1", "ready")
    assert str(error) == "It is so. Why.\nepochs: must be at least 1"


def test_another_service_at_the_address_is_said_to_be_one() -> None:
    with client_of(lambda _: httpx.Response(200, text="<html>")) as client, pytest.raises(darkroom.UnexpectedAnswer):
        client.service()


def test_events_go_on_after_the_last_one_that_arrived() -> None:
    positions: list[str] = []

    def line(number: int) -> bytes:
        event = {"seq": number, "type": "progress", "at": "2026-11-30T12:00:00Z", "data": {"epoch": number}}
        return f"id: {number}\nevent: progress\ndata: {json.dumps(event)}\n\n".encode()

    def broken() -> Iterator[bytes]:
        yield line(1)
        raise httpx.ReadError("reset")

    def answer(request: httpx.Request) -> httpx.Response:
        positions.append(request.headers["last-event-id"])
        match positions[-1]:
            case "0":
                return httpx.Response(200, content=broken())
            case "1":
                return httpx.Response(200, content=line(2) + b'id: 2.end\nevent: end\ndata: {"seq": 2}\n\n')
        return httpx.Response(204)

    with client_of(answer) as client:
        assert [event.seq for event in client.runs.events("run_1")] == [1, 2]
    assert positions == ["0", "1", "2.end"]


def test_a_download_goes_on_where_it_broke_and_is_checked(tmp_path: Path) -> None:
    ranges: list[str | None] = []
    sha256 = hashlib.sha256(CONTENT).hexdigest()

    def broken() -> Iterator[bytes]:
        yield CONTENT[:1000]
        raise httpx.ReadError("reset")

    def answer(request: httpx.Request) -> httpx.Response:
        ranges.append(request.headers.get("range"))
        headers = {"etag": '"1"', "x-checksum-sha256": sha256, "content-disposition": 'attachment; filename="../m.pt"'}
        if len(ranges) == 1:
            return httpx.Response(200, headers=headers, content=broken())
        start = int(str(ranges[-1]).partition("=")[2][:-1])
        headers["content-range"] = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        return httpx.Response(206, headers=headers, content=CONTENT[start:])

    with client_of(answer) as client:
        path = client.models.download("raccoons", tmp_path)
    assert path == tmp_path / "m.pt" and path.read_bytes() == CONTENT
    assert len(ranges) == 2
    wrong = httpx.Response(200, headers={"x-checksum-sha256": "0" * 64}, content=CONTENT)
    with client_of(lambda _: wrong) as client, pytest.raises(darkroom.ChecksumMismatch):
        client.models.download("raccoons", tmp_path / "other.pt")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["m.pt"]


def test_waiting_outlasts_a_restart_and_names_what_failed() -> None:
    states = iter([None, "running", None, "failed"])

    def answer(_: httpx.Request) -> httpx.Response:
        state = next(states)
        if state is None:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, json={**RUN, "state": state, "problem": {"slug": "diverged", "title": "Lost"}})

    with client_of(answer, retries=0) as client, pytest.raises(darkroom.WorkFailed) as raised:
        client.runs.wait("run_1")
    assert raised.value.slug == "diverged" and raised.value.state == "failed"


def test_the_token_of_the_login_file_goes_only_to_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    write_login(Login("https://one.example/", "secret"))
    assert login_path().stat().st_mode & 0o777 == 0o600
    assert resolve_login() == Login("https://one.example", "secret") == read_login()
    assert resolve_login("https://two.example").token == ""
    monkeypatch.setenv("DARKROOM_URL", "https://three.example")
    assert resolve_login() == Login("https://three.example", "")
    assert "secret" not in repr(read_login())


def test_a_redirect_to_another_host_does_not_get_the_token(tmp_path: Path) -> None:
    tokens: dict[str, str | None] = {}

    def answer(request: httpx.Request) -> httpx.Response:
        tokens[request.url.host] = request.headers.get("authorization")
        if request.url.host == "service":
            return httpx.Response(307, headers={"location": "https://elsewhere/file"})
        return httpx.Response(200, content=CONTENT)

    with client_of(answer, token="secret") as client:
        client.models.download("raccoons", tmp_path / "model.pt")
    assert tokens == {"service": "Bearer secret", "elsewhere": None}
