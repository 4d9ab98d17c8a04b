"""Every object store against one contract: a directory, and S3 with a real server."""

import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from core.domain.errors import RangeInvalid, StoreRefused, Unavailable
from core.domain.limits import MIB
from core.settings import Settings
from core.storage import ObjectCorrupt, ObjectExists, ObjectMissing, ObjectStore, StoredObject, open_store
from core.storage.folder import FolderStore
from tests.servers import free_port
from tests.waiting import wait_until

S3 = pytest.param("s3", marks=pytest.mark.integration)


@pytest.fixture(params=["folder", S3])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "folder":
        return open_store(Settings(store_url=(tmp_path / "objects").as_uri()))
    settings: Settings = request.getfixturevalue("s3_settings")
    return open_store(settings)


def file_of(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_an_object_comes_back_as_it_was_put(store: ObjectStore, tmp_path: Path) -> None:
    content = os.urandom(3 * MIB + 17)
    put = store.put("runs/run_1/1/artifacts/best.pt", file_of(tmp_path / "a", content), sha256=sha256(content))

    fetched = store.fetch("runs/run_1/1/artifacts/best.pt", tmp_path / "b")

    assert put == fetched == store.head("runs/run_1/1/artifacts/best.pt")
    assert put == StoredObject("runs/run_1/1/artifacts/best.pt", len(content), sha256(content))
    assert (tmp_path / "b").read_bytes() == content


def test_an_object_of_many_parts_comes_back_with_its_digest(store: ObjectStore, tmp_path: Path) -> None:
    content = os.urandom(MIB) * 65  # above 64 MiB an S3 upload goes in parts
    store.put("datasets/1/big.tar", file_of(tmp_path / "a", content))

    assert store.fetch("datasets/1/big.tar", tmp_path / "b").sha256 == sha256(content)
    assert sha256((tmp_path / "b").read_bytes()) == sha256(content)


def test_objects_are_joined_into_one_that_is_whole_and_verified_or_not_there(
    store: ObjectStore, tmp_path: Path
) -> None:
    contents = [os.urandom(2 * MIB + 5), b"x", os.urandom(100)]
    parts = [
        store.put(f"uploads/u/parts/{number}", file_of(tmp_path / "a", content))
        for number, content in enumerate(contents)
    ]
    whole = b"".join(contents)

    def join(key: str, parts: list[StoredObject], digest: str | None = None) -> StoredObject:
        return store.join(key, parts, sha256=digest, media_type="application/zip", scratch=tmp_path)

    joined = join("uploads/j/source.zip", parts)
    assert joined == store.head("uploads/j/source.zip") == StoredObject(joined.key, len(whole), sha256(whole))
    assert b"".join(store.open(joined.key)) == whole and b"".join(store.open(parts[0].key)) == contents[0]
    assert join("uploads/j/source.zip", parts) == joined, "again is fine"

    with pytest.raises(ObjectCorrupt):
        join("uploads/k/source.zip", parts, sha256(b"other"))
    changed = StoredObject(parts[1].key, 1, sha256(b"y"))
    with pytest.raises(ObjectCorrupt):
        join("uploads/k/source.zip", [parts[0], changed])
    with pytest.raises(ObjectMissing):
        join("uploads/k/source.zip", [parts[0], StoredObject("uploads/u/parts/gone", 1, sha256(b"y"))])
    assert store.head("uploads/k/source.zip") is None
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["a"]


def test_an_empty_object_is_an_object(store: ObjectStore, tmp_path: Path) -> None:
    store.put("empty", file_of(tmp_path / "a", b""))

    assert store.head("empty") == StoredObject("empty", 0, sha256(b""))
    assert b"".join(store.open("empty")) == b""


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, None, (0, 10)), (3, None, (3, 10)), (0, 0, (0, 1)), (2, 5, (2, 6)), (8, 99, (8, 10))],
)
def test_a_range_is_cut_with_its_end_inclusive(
    store: ObjectStore, tmp_path: Path, start: int, end: int | None, expected: tuple[int, int]
) -> None:
    store.put("digits", file_of(tmp_path / "a", b"0123456789"))

    assert b"".join(store.open("digits", start=start, end=end)) == b"0123456789"[slice(*expected)]


def test_a_range_beyond_the_end_is_refused_at_the_call(store: ObjectStore, tmp_path: Path) -> None:
    store.put("digits", file_of(tmp_path / "a", b"0123456789"))

    with pytest.raises(RangeInvalid):
        store.open("digits", start=10)


def test_chunks_are_at_most_a_mebibyte(store: ObjectStore, tmp_path: Path) -> None:
    store.put("large", file_of(tmp_path / "a", bytes(2 * MIB + 1)))

    sizes = [len(chunk) for chunk in store.open("large")]

    assert sum(sizes) == 2 * MIB + 1
    assert max(sizes) <= MIB


def test_a_missing_object_is_reported_at_the_call(store: ObjectStore, tmp_path: Path) -> None:
    assert store.head("no/such") is None
    with pytest.raises(ObjectMissing):
        store.open("no/such")
    with pytest.raises(ObjectMissing):
        store.fetch("no/such", tmp_path / "b")
    assert list(tmp_path.glob("*b*")) == []


def test_the_same_bytes_may_be_put_again_and_others_may_not(store: ObjectStore, tmp_path: Path) -> None:
    first = store.put("once", file_of(tmp_path / "a", b"first"))

    assert store.put("once", file_of(tmp_path / "a", b"first")) == first
    with pytest.raises(ObjectExists):
        store.put("once", file_of(tmp_path / "a", b"other"))
    assert b"".join(store.open("once")) == b"first"


def test_eight_racing_puts_leave_one_whole_object(store: ObjectStore, tmp_path: Path) -> None:
    """One winner where the store is atomic. Swift checks its condition before it writes, so several racers may get the
    answer that they won: the object is one of theirs, whole, and the row's unique key decides which."""
    contents = [bytes([65 + racer]) * (200_000 + racer) for racer in range(8)]
    files = [file_of(tmp_path / f"{racer}", content) for racer, content in enumerate(contents)]
    line = threading.Barrier(len(files))

    def race(path: Path) -> StoredObject | None:
        line.wait()
        try:
            return store.put("contended", path)
        except ObjectExists:
            return None

    with ThreadPoolExecutor(len(files)) as pool:
        winners = [won for won in pool.map(race, files) if won is not None]

    left, body = store.head("contended"), b"".join(store.open("contended"))
    assert left in winners
    assert left == StoredObject("contended", len(body), sha256(body))
    assert body in contents
    if type(store).__name__ == "FolderStore":
        assert len(winners) == 1


def test_a_put_with_another_digest_than_announced_leaves_nothing(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(ObjectCorrupt):
        store.put("broken", file_of(tmp_path / "a", b"these bytes"), sha256=sha256(b"those bytes"))

    assert store.head("broken") is None


@pytest.mark.parametrize("name", ["Äpfel und Birnen.txt", "日本語/模型 1.pt", "plus+and&quotes'.csv", "100%.txt"])
def test_keys_may_be_written_in_any_script(store: ObjectStore, tmp_path: Path, name: str) -> None:
    store.put(f"uploads/{name}", file_of(tmp_path / "a", name.encode()))

    assert [key for key, _ in store.list_prefix("uploads/")] == [f"uploads/{name}"]
    assert b"".join(store.open(f"uploads/{name}")) == name.encode()


@pytest.mark.parametrize("key", ["", "/root", "../up", "a/../b", "a//b", "a/", ".temp/x", "a\\b", "a\nb", "ü" * 600])
def test_a_malformed_key_is_refused(store: ObjectStore, tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        store.put(key, file_of(tmp_path / "a", b"x"))


def test_a_prefix_is_listed_with_times_and_deleted_alone(store: ObjectStore, tmp_path: Path) -> None:
    for key in ("runs/run_1/1/a", "runs/run_1/1/b/c", "runs/run_1/2/a", "runs/run_10/1/a"):
        store.put(key, file_of(tmp_path / "a", b"x"))

    listed = dict(store.list_prefix("runs/run_1/"))
    assert sorted(listed) == ["runs/run_1/1/a", "runs/run_1/1/b/c", "runs/run_1/2/a"]
    assert all(abs(datetime.now(UTC) - modified) < timedelta(minutes=1) for modified in listed.values())

    assert store.delete_prefix("runs/run_1/1/") == 2
    assert store.delete_prefix("runs/run_1/1/") == 0
    assert sorted(key for key, _ in store.list_prefix("")) == ["runs/run_1/2/a", "runs/run_10/1/a"]
    with pytest.raises(ValueError, match="key"):
        store.delete_prefix("")


def test_a_deleted_key_can_be_written_anew(store: ObjectStore, tmp_path: Path) -> None:
    store.put("again", file_of(tmp_path / "a", b"first"))
    store.delete_prefix("again")

    assert store.put("again", file_of(tmp_path / "a", b"second")).sha256 == sha256(b"second")


def test_a_probe_leaves_nothing(store: ObjectStore) -> None:
    store.probe()

    assert list(store.list_prefix("")) == []


def test_a_store_is_made_ready_once(store: ObjectStore, tmp_path: Path) -> None:
    store.make_ready()
    store.put("kept", file_of(tmp_path / "a", b"1"))
    assert store.make_ready() is False, "it exists"
    assert store.head("kept") is not None


def test_a_new_folder_is_made_ready(tmp_path: Path) -> None:
    assert FolderStore(tmp_path / "some" / "store").make_ready() is True and (tmp_path / "some" / "store").is_dir()


def test_a_fetch_replaces_the_local_file_only_when_it_is_whole(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"kept")
    with pytest.raises(ObjectMissing):
        store.fetch("no/such", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"kept"

    store.put("new", file_of(tmp_path / "a", b"new"))
    store.fetch("new", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["a", "b"]


# The directory


def test_bytes_changed_on_the_disk_are_found_by_a_fetch(tmp_path: Path) -> None:
    store = open_store(Settings(store_url=(tmp_path / "objects").as_uri()))
    store.put("model", file_of(tmp_path / "a", b"as it was"))
    path = tmp_path / "objects" / "model"
    stat = path.stat()
    path.write_bytes(b"as it is!")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # a failing disk changes bytes without changing the time

    with pytest.raises(ObjectCorrupt):
        store.fetch("model", tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_put_killed_halfway_leaves_no_object(tmp_path: Path) -> None:
    """SIGKILL between writing the bytes and giving them their name."""
    store = open_store(Settings(store_url=(tmp_path / "objects").as_uri()))
    store.put("first", file_of(tmp_path / "a", b"x"))
    (tmp_path / "objects" / ".temp" / "half").write_bytes(b"half of an ob")

    assert [key for key, _ in store.list_prefix("")] == ["first"]


FILL_A_DISK = """
import sys
from pathlib import Path
from core.domain.errors import OutOfSpace
from core.settings import Settings
from core.storage import open_store
folder = Path(sys.argv[1])
store = open_store(Settings(store_url=(folder / "disk").as_uri()))
(folder / "large").write_bytes(bytes(2 * 1024**2))
(folder / "small").write_bytes(b"x")
try:
    store.put("large", folder / "large")
except OutOfSpace:
    assert store.head("large") is None
    assert store.put("small", folder / "small").bytes == 1
    print("full")
"""


def test_a_full_disk_is_out_of_space_and_leaves_room_for_less(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    mounted = 'mount -t tmpfs -o size=1m none "$1/disk" || exit 99; exec "$2" -c "$3" "$1"'
    namespace = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mounted, "sh"]
    if shutil.which("unshare") is None:
        pytest.skip("a small disk needs Linux and unshare")

    run = subprocess.run([*namespace, str(tmp_path), sys.executable, FILL_A_DISK], capture_output=True, text=True)

    if run.returncode == 99 or "unshare" in run.stderr:
        pytest.skip("a small disk needs the permission to mount one in a namespace")
    assert run.stdout == "full\n", run.stderr


def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    store = open_store(Settings(store_url=(file_of(tmp_path / "file", b"") / "objects").as_uri()))

    with pytest.raises(Unavailable):
        store.probe()


# S3


@pytest.mark.integration
def test_a_link_downloads_the_file_under_its_name(s3_settings: Settings, tmp_path: Path) -> None:
    store = open_store(s3_settings)
    store.put("runs/r/1/artifacts/best.pt", file_of(tmp_path / "a", b"0123456789"))
    link = store.link("runs/r/1/artifacts/best.pt", seconds=60, file_name='Äpfel "v1".pt')
    assert link is not None

    answer = httpx.get(link)
    part = httpx.get(link, headers={"Range": "bytes=2-4"})

    assert answer.content == b"0123456789"
    assert answer.headers["content-disposition"].endswith("filename*=UTF-8''%C3%84pfel%20%22v1%22.pt")
    assert (part.status_code, part.content) == (206, b"234")


@pytest.mark.integration
def test_a_link_that_was_tampered_with_or_has_expired_is_refused(s3_settings: Settings, tmp_path: Path) -> None:
    store = open_store(s3_settings)
    store.put("mine", file_of(tmp_path / "a", b"mine"))
    store.put("yours", file_of(tmp_path / "a", b"yours"))
    link = store.link("mine", seconds=2, file_name="mine")
    assert link is not None

    assert httpx.get(link.replace("/mine?", "/yours?")).status_code == 403
    assert httpx.get(link).status_code == 200
    wait_until(lambda: httpx.get(link).status_code == 403, seconds=10, what="the link expires")


@pytest.mark.integration
def test_a_link_is_signed_for_the_address_that_users_reach(s3_settings: Settings) -> None:
    public = s3_settings.model_copy(update={"s3_public_endpoint": "https://files.example.org"})

    link = open_store(public).link("mine", seconds=60, file_name="mine")

    assert link is not None
    assert link.startswith("https://files.example.org/darkroom-test-")


def test_the_directory_has_no_links(tmp_path: Path) -> None:
    assert open_store(Settings(store_url=tmp_path.as_uri())).link("any", seconds=60, file_name="any") is None


@pytest.mark.integration
@pytest.mark.parametrize("wrong", ["address", "secret", "bucket"])
def test_a_server_that_cannot_be_used_is_unavailable_within_seconds(
    s3_settings: Settings, tmp_path: Path, wrong: str
) -> None:
    changes: dict[str, dict[str, Any]] = {
        "address": {"s3_endpoint": f"http://127.0.0.1:{free_port()}"},
        "secret": {"s3_secret_key": type(s3_settings.s3_secret_key)("not the secret")},
        "bucket": {"store_url": "s3://darkroom-no-such-bucket"},
    }
    store = open_store(s3_settings.model_copy(update=changes[wrong]))

    start = time.monotonic()
    with pytest.raises(Unavailable) as raised:
        store.probe()
    assert time.monotonic() - start < 8
    assert isinstance(raised.value, StoreRefused) == (wrong != "address")
    if wrong == "bucket":
        with pytest.raises(StoreRefused, match="NoSuchBucket"):
            store.fetch("any", tmp_path / "any")


@pytest.mark.parametrize(
    ("status", "code", "refused"),
    [
        (403, "AccessDenied", True),
        (403, "InvalidAccessKeyId", True),
        (404, "NoSuchBucket", True),
        (400, "ExpiredToken", True),
        (503, "SlowDown", False),
        (500, "InternalError", False),
    ],
)
def test_a_server_that_denies_access_is_distinguished_from_one_that_is_down(
    tmp_path: Path, status: int, code: str, refused: bool
) -> None:
    with answering(status, f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode()) as endpoint:
        keys = {"s3_access_key": SecretStr("k"), "s3_secret_key": SecretStr("s")}
        store = open_store(Settings(store_url="s3://bucket", s3_endpoint=endpoint, **keys))
        with pytest.raises(Unavailable) as raised:
            list(store.list_prefix("uploads/"))
        assert isinstance(raised.value, StoreRefused) == refused
        assert raised.value.facts == {"service": "store", "cause": code}
        with pytest.raises(Unavailable) as raised:
            store.put("a", file_of(tmp_path / "a", b"x"))  # begins with a HEAD, whose answer has a status and no body
        assert isinstance(raised.value, StoreRefused) == (refused and status != 400)


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """A server that answers everything the same way."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_response(status)
            self.send_header("content-type", "application/xml")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_POST = _answer

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_a_store_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="DARKROOM_STORE_URL"):
        open_store(Settings(store_url="ftp://example.org/x"))
