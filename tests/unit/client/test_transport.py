"""What the client does when requests fail: what is sent again, with which key, and what is raised."""

import fcntl
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
from tests.builders.documented_service import SCHEMAS, example

RUN = example(SCHEMAS["Run"], whole=True)
CONTENT = bytes(range(256)) * 20
EVENT_STREAM = {"content-type": "text/event-stream"}


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


@pytest.mark.parametrize("value", ["", "-5", "\xb2", "soon", "1e3"])
def test_a_time_to_wait_that_is_none_is_ignored(value: str, slept: list[float]) -> None:
    headers = {"retry-after": value.encode("latin-1")}
    busy = httpx.Response(503, headers=headers, json={"slug": "unavailable"})
    with client_of(lambda _: busy) as client, pytest.raises(darkroom.errors.ServiceUnavailable):
        client.runs.get("run_1")
    assert len(slept) == 3 and max(slept) < 3


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


def test_a_page_in_the_place_of_a_log_is_no_log() -> None:
    page = httpx.Response(200, html="<html>Sign in</html>")
    with (
        client_of(lambda _: page) as client,
        pytest.raises(darkroom.UnexpectedAnswer, match="with text/html instead of text/plain"),
    ):
        client.runs.log("run_1")
    log = httpx.Response(200, text="epoch 1\n")
    with client_of(lambda _: log) as client:
        assert client.runs.log("run_1") == "epoch 1\n"


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
                return httpx.Response(200, content=broken(), headers=EVENT_STREAM)
            case "1":
                end = b'id: 2.end\nevent: end\ndata: {"seq": 2}\n\n'
                return httpx.Response(200, content=line(2) + end, headers=EVENT_STREAM)
        return httpx.Response(204)

    with client_of(answer) as client:
        assert [event.seq for event in client.runs.events("run_1")] == [1, 2]
    assert positions == ["0", "1", "2.end"]


def test_an_event_of_which_only_the_id_arrived_is_requested_again() -> None:
    event = json.dumps({"seq": 1, "type": "state", "at": "2026-11-30T12:00:00Z", "data": {}})
    positions: list[str] = []

    def broken() -> Iterator[bytes]:
        yield b"id: 1\nevent: state\n"
        raise httpx.ReadError("reset")

    def answer(request: httpx.Request) -> httpx.Response:
        positions.append(request.headers["last-event-id"])
        if positions[-1] != "0":
            return httpx.Response(204)
        content = f"id: 1\ndata: {event}\n\n".encode() if len(positions) > 1 else broken()
        return httpx.Response(200, content=content, headers=EVENT_STREAM)

    with client_of(answer) as client:
        assert [each.seq for each in client.runs.events("run_1")] == [1]
    assert positions == ["0", "0", "1"]


def test_a_page_in_the_place_of_the_events_is_an_error_rather_than_a_stream_without_end() -> None:
    with client_of(lambda _: httpx.Response(200, html="<p>")) as client, pytest.raises(darkroom.UnexpectedAnswer):
        next(client.runs.events("run_1"))


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


class Versioned:
    """A service with one file, by ranges."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.ranges: list[str | None] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        wanted = request.headers.get("range")
        self.ranges.append(wanted)
        sha256 = hashlib.sha256(self.content).hexdigest()
        headers = {"etag": f'"{sha256}"', "x-checksum-sha256": sha256}
        if wanted is None or request.headers.get("if-range") != headers["etag"]:
            headers["content-length"] = str(len(self.content))
            return httpx.Response(200, headers=headers, stream=Pieces(self.content))
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        headers["content-range"] = f"bytes {start}-{len(self.content) - 1}/{len(self.content)}"
        return httpx.Response(206, headers=headers, stream=Pieces(self.content[start:]))

    def interrupted(self, to: Path) -> None:
        """A download that Ctrl-C ends after some bytes."""

        def interrupt(done: int, _total: int) -> None:
            if done >= 1000:
                raise KeyboardInterrupt

        with client_of(self) as client, pytest.raises(KeyboardInterrupt):
            client.models.download("raccoons", to, on_bytes=interrupt)


class Pieces(httpx.SyncByteStream):
    def __init__(self, content: bytes) -> None:
        self.content = content

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self.content), 500):
            yield self.content[start : start + 500]


def parts(folder: Path) -> list[bytes]:
    return [each.read_bytes() for each in folder.glob("*.part")]


def test_the_next_call_continues_a_download_that_was_interrupted(tmp_path: Path) -> None:
    service = Versioned(CONTENT)
    service.interrupted(tmp_path / "model.pt")
    assert parts(tmp_path) == [CONTENT[:1000]]
    with client_of(service) as client:
        client.models.download("raccoons", tmp_path / "model.pt")
    assert service.ranges == [None, None, "bytes=1000-"]
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("model.pt", CONTENT)]


def test_a_part_is_continued_by_the_rest_of_the_same_version_alone(tmp_path: Path) -> None:
    old, new = Versioned(CONTENT), Versioned(CONTENT[::-1])
    old.interrupted(tmp_path / "model.pt")
    with client_of(new) as client:
        client.models.download("raccoons", tmp_path / "model.pt")
    assert new.ranges == [None]
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("model.pt", CONTENT[::-1])]


def test_a_part_whose_bytes_are_wrong_is_not_kept(tmp_path: Path) -> None:
    service = Versioned(CONTENT)
    service.interrupted(tmp_path / "model.pt")
    (part,) = tmp_path.glob("*.part")
    part.write_bytes(b"x" * 1000)
    with client_of(service) as client:
        with pytest.raises(darkroom.ChecksumMismatch):
            client.models.download("raccoons", tmp_path / "model.pt")
        assert list(tmp_path.iterdir()) == []
        assert client.models.download("raccoons", tmp_path / "model.pt").read_bytes() == CONTENT


def test_a_part_that_was_complete_is_not_requested_again_and_one_in_use_is_left(tmp_path: Path) -> None:
    service = Versioned(CONTENT)
    service.interrupted(tmp_path / "model.pt")
    (part,) = tmp_path.glob("*.part")
    with part.open("ab") as other, client_of(service) as client:
        fcntl.flock(other, fcntl.LOCK_EX)
        client.models.download("raccoons", tmp_path / "model.pt")
        assert service.ranges == [None, None] and parts(tmp_path) == [CONTENT[:1000]]
    part.write_bytes(CONTENT)
    with client_of(service) as client:
        client.models.download("raccoons", tmp_path / "model.pt")
    assert service.ranges[2:] == [None]
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("model.pt", CONTENT)]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(202, json={}), darkroom.UnexpectedAnswer),
        (httpx.Response(200, html="<p>Please log in</p>"), darkroom.UnexpectedAnswer),
        (httpx.Response(200, content=CONTENT), OSError),
    ],
)
def test_nothing_is_left_of_a_download_that_failed(
    answer: httpx.Response, error: type[Exception], tmp_path: Path
) -> None:
    def full(done: int, _total: int) -> None:
        raise OSError(f"no space left after {done} bytes")

    with client_of(lambda _: answer) as client, pytest.raises(error):
        client.models.download("raccoons", tmp_path / "model.pt", on_bytes=full)
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_an_etag_is_received_anew_rather_than_continued(tmp_path: Path) -> None:
    ranges: list[str | None] = []

    def broken() -> Iterator[bytes]:
        yield b"of the old file"
        raise httpx.ReadError("reset")

    def answer(request: httpx.Request) -> httpx.Response:
        ranges.append(request.headers.get("range"))
        return httpx.Response(200, content=broken() if len(ranges) == 1 else CONTENT)

    with client_of(answer) as client:
        assert client.models.download("raccoons", tmp_path / "model.pt").read_bytes() == CONTENT
    assert ranges == [None, None]


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


def test_redirects_in_a_circle_are_an_error_of_the_service() -> None:
    circle = httpx.Response(307, headers={"location": "/"})
    with client_of(lambda _: circle) as client, pytest.raises(darkroom.UnexpectedAnswer):
        client.service()


def test_a_host_that_does_not_exist_is_reported_soon_however_long_an_answer_may_take() -> None:
    timeouts: list[dict[str, float]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        timeouts.append(request.extensions["timeout"])
        return httpx.Response(200, json=example(SCHEMAS["Answer"], whole=True))

    with client_of(answer, timeout=5) as client:
        client.predict_from_image_bytes("raccoons", b"image")
    assert timeouts[0]["connect"] <= 10 < timeouts[0]["read"]


def test_following_outlasts_a_restart_and_a_short_timeout_lasts_as_long_as_a_poll() -> None:
    states = iter(["running", None, "succeeded", "succeeded"])
    timeouts: list[float] = []

    def answer(request: httpx.Request) -> httpx.Response:
        timeouts.append(request.extensions["timeout"]["read"] - int(request.url.params.get("wait", 0)))
        state = next(states)
        if state is None:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, json={**RUN, "state": state})

    with client_of(answer, retries=0, timeout=3) as client:
        assert [each.state for each in client.runs.follow("run_1")] == ["running", "succeeded"]
        client.runs.wait("run_1")
    assert min(timeouts) > 0


@pytest.mark.parametrize("name", ["..", "../jobs", "a/b?c#d", "."])
def test_a_name_never_leads_to_another_path(name: str) -> None:
    paths: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.raw_path)
        return httpx.Response(204)

    with client_of(answer) as client:
        client.aliases.remove("raccoons", name)
    (path,) = paths
    folder, _, last = path.rpartition(b"/")
    assert folder == b"/projects/raccoons/aliases" and not set(b"?#/") & set(last) and last.strip(b".")
