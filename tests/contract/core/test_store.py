"""Every object store against one contract: a directory, and S3 with a real server."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.domain.errors import RangeInvalid
from core.domain.limits import MIB
from core.settings import Settings
from core.storage import ObjectCorrupt, ObjectExists, ObjectMissing, ObjectStore, StoredObject, open_store
from tests.builders.files import file_of, sha256

S3 = pytest.param("s3", marks=pytest.mark.integration)


@pytest.fixture(params=["folder", S3])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "folder":
        return open_store(Settings(store_url=(tmp_path / "objects").as_uri()))
    settings: Settings = request.getfixturevalue("s3_settings")
    return open_store(settings)


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
    store.put("runs/run_1/2/longer", file_of(tmp_path / "a", b"123456"))
    assert (store.measure("runs/run_1/2/"), store.measure("runs/run_2/")) == ((2, 7), (0, 0))
    store.delete_prefix("runs/run_1/2/longer")

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


def test_a_fetch_replaces_the_local_file_only_when_it_is_whole(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"kept")
    with pytest.raises(ObjectMissing):
        store.fetch("no/such", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"kept"

    store.put("new", file_of(tmp_path / "a", b"new"))
    store.fetch("new", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["a", "b"]


def test_a_file_that_is_taken_is_an_object_whatever_becomes_of_its_name(store: ObjectStore, tmp_path: Path) -> None:
    content, file = os.urandom(2 * MIB + 3), tmp_path / "a"
    file_of(file, content).chmod(0o600)
    taken = store.take("uploads/j/source.zip", file, sha256=sha256(content), media_type="application/zip")

    assert taken == store.head(taken.key) == StoredObject("uploads/j/source.zip", len(content), sha256(content))
    assert file.read_bytes() == content, "the caller reads on"
    assert store.take(taken.key, file) == taken, "again is fine"
    with pytest.raises(ObjectExists):
        store.take(taken.key, file_of(tmp_path / "b", b"other"))
    file.replace(tmp_path / "b")
    (tmp_path / "b").unlink()
    assert sha256(b"".join(store.open(taken.key))) == taken.sha256


def test_a_file_with_another_digest_than_announced_is_not_taken(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(ObjectCorrupt):
        store.take("broken", file_of(tmp_path / "a", b"these bytes"), sha256=sha256(b"those bytes"))
    assert store.head("broken") is None
    with pytest.raises(FileNotFoundError):
        store.take("broken", tmp_path / "gone")


def test_an_old_file_is_young_as_an_object(store: ObjectStore, tmp_path: Path) -> None:
    """Orphans are deleted by their age: a row is about to name this one."""
    os.utime(file_of(tmp_path / "a", b"x"), (1, 1))
    store.take("young", tmp_path / "a")

    ((_, modified),) = store.list_prefix("young")
    assert abs(datetime.now(UTC) - modified) < timedelta(minutes=1)


def test_eight_racing_takes_of_one_file_and_of_others_leave_one_whole_object(
    store: ObjectStore, tmp_path: Path
) -> None:
    """As puts do; see there for what Swift answers."""
    contents = [bytes([65 + racer // 2]) * 200_000 for racer in range(8)]
    files = [file_of(tmp_path / f"{content[0]}", content) for content in contents]  # each of them twice
    line = threading.Barrier(len(files))

    def race(path: Path) -> StoredObject | None:
        line.wait()
        try:
            return store.take("contended", path)
        except ObjectExists:
            return None

    with ThreadPoolExecutor(len(files)) as pool:
        winners = {won for won in pool.map(race, files) if won is not None}

    left, body = store.head("contended"), b"".join(store.open("contended"))
    assert left == StoredObject("contended", len(body), sha256(body)) and left in winners and body in contents
    if type(store).__name__ == "FolderStore":
        assert winners == {left}


def test_an_object_that_is_lent_is_whole_also_when_it_is_deleted(store: ObjectStore, tmp_path: Path) -> None:
    content = os.urandom(MIB + 1)
    put = store.put("sets/a.tar", file_of(tmp_path / "a", content))
    lent = tmp_path / "lent"

    assert store.lend("sets/a.tar", lent) == put
    assert store.lend("sets/a.tar", lent) == put, "in place of the one that was lent before"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["a", "lent"]
    store.delete_prefix("sets/")
    assert lent.read_bytes() == content and store.head("sets/a.tar") is None
    with pytest.raises(ObjectMissing):
        store.lend("sets/a.tar", tmp_path / "b")
    assert store.put("sets/a.tar", file_of(tmp_path / "a", b"new")).bytes == 3
    assert lent.read_bytes() == content


def test_a_lent_file_that_is_put_or_taken_is_an_object_of_its_own(store: ObjectStore, tmp_path: Path) -> None:
    """The copy of a dataset, and a backup, are not changed with what they were made of."""
    put = store.put("first", file_of(tmp_path / "a", b"bytes"))
    store.lend("first", tmp_path / "lent")
    for key, keep in (("second", store.take), ("third", store.put)):
        assert keep(key, tmp_path / "lent") == StoredObject(key, put.bytes, put.sha256)
    store.delete_prefix("first")
    (tmp_path / "lent").chmod(0o600)
    (tmp_path / "lent").write_bytes(b"BYTES")
    assert [b"".join(store.open(key)) for key in ("second", "third")] == [b"bytes"] * 2


def test_a_store_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="DARKROOM_STORE_URL"):
        open_store(Settings(store_url="ftp://example.org/x"))
