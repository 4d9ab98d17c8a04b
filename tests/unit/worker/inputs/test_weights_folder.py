"""Weights that are folders: where they come from, what is never fetched, and that a name cannot leave the folder."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from core.domain.errors import OutOfSpace, WeightsUnavailable
from pipeline.process.specs import ModelSpec
from worker.inputs import weights_folder as weights_folders
from worker.inputs.weights_cache import in_use, make_room, note_fetched
from worker.inputs.weights_file import WeightsSource
from worker.inputs.weights_folder import HUB, resolve_folder

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def lay(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(b"w")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "weights"
    lay(root / "google--vit", "config.json", "model.safetensors")
    lay(root / "ours", "config.json", "model-00001-of-00001.safetensors")
    lay(root / "half--done", "config.json")
    lay(tmp_path / "secret", "config.json", "model.safetensors")
    (root / "link").symlink_to(tmp_path / "secret")
    return root


def resolve(folder: Path, model: str, pretrained: str = "auto", *, hub: bool = False) -> WeightsSource:
    return resolve_folder({"model": model, "pretrained": pretrained}, folder, hub=hub, check=lambda: None)


def test_weights_in_the_folder_are_used_unless_they_are_not_wanted(folder: Path) -> None:
    for model, name in (("google/vit", "google--vit"), ("ours", "ours")):
        assert resolve(folder, model).as_spec() == ModelSpec(kind="weights", path_or_name=str(folder / name))
    assert resolve(folder, "google/vit", "never").as_spec() == ModelSpec(kind="config", path_or_name="google/vit")


def test_a_small_one_made_here_needs_no_weights_and_no_note(folder: Path) -> None:
    assert resolve(folder, "vit-tiny-scratch", hub=True) == WeightsSource("config", "vit-tiny-scratch")


@pytest.mark.parametrize("name", ["org/missing", "half/done", "link", "../secret", "ours/../../secret"])
def test_what_is_missing_incomplete_or_elsewhere_is_not_taken(folder: Path, name: str) -> None:
    assert resolve(folder, name) == WeightsSource(
        "config", name, "trained from scratch: no pretrained weights were found"
    )
    with pytest.raises(WeightsUnavailable):
        resolve(folder, name, "required")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str], httpx.Response]], list[str]]:
    """A hub with a given answer for each path; the rest of httpx is the real one."""

    def answer_with(answer: Callable[[str], httpx.Response]) -> list[str]:
        requested: list[str] = []

        def handle(request: httpx.Request) -> httpx.Response:
            requested.append(str(request.url).removeprefix(HUB))
            return answer(requested[-1])

        client = httpx.Client(transport=httpx.MockTransport(handle))
        monkeypatch.setattr(weights_folders.httpx, "get", client.get)
        monkeypatch.setattr(weights_folders.httpx, "stream", client.stream)
        weights_folders._not_before.clear()
        return requested

    return answer_with


def listing(*names: str) -> dict[str, Any]:
    return {"sha": COMMIT, "siblings": [{"rfilename": name} for name in names]}


def test_of_a_name_on_the_hub_only_safetensors_and_json_of_one_commit_are_fetched_once(
    folder: Path, hub: Callable[..., list[str]]
) -> None:
    there = (
        "config.json",
        "preprocessor_config.json",
        "model.safetensors",
        "pytorch_model.bin",
        "x/../config.json",
        "a.py",
    )
    requested = hub(
        lambda path: httpx.Response(200, json=listing(*there)) if "/api/" in path else httpx.Response(200, content=b"w")
    )
    for _ in range(2):
        source = resolve(folder, "org/name", hub=True)
        assert source.path_or_name == str(folder / "org--name")
        assert source.note == f"started from the pretrained weights org/name at {COMMIT[:12]}"
    wanted = ("config.json", "model.safetensors", "preprocessor_config.json")
    assert requested == ["/api/models/org/name?blobs=true", *(f"/org/name/resolve/{COMMIT}/{name}" for name in wanted)]
    assert sorted(path.name for path in (folder / "org--name").iterdir()) == [".revision", *wanted]


def offer(author: str, number: int, title: str = weights_folders.CONVERTED_TITLE) -> dict[str, Any]:
    return {"num": number, "title": title, "status": "open", "isPullRequest": True, "author": {"name": author}}


@pytest.mark.parametrize("trusted", [True, False], ids=["by the hub's bot", "by another user"])
def test_of_a_name_that_has_pickles_only_the_offer_of_the_hubs_robot_is_taken_and_nobody_elses(
    folder: Path, hub: Callable[..., list[str]], trusted: bool
) -> None:
    plain = ["config.json", "pytorch_model.bin", "tokenizer.json", "vocab.json", "merges.txt"]
    offers = [offer("another-user", 1), offer(weights_folders.CONVERTED_BY, 2, "Hello")]
    offers += [offer(weights_folders.CONVERTED_BY, 3)] if trusted else []

    def answer(path: str) -> httpx.Response:
        if path.startswith("/api/models/org/clip/discussions"):
            return httpx.Response(200, json={"count": len(offers), "start": 0, "discussions": offers})
        if path == "/api/models/org/clip/revision/refs%2Fpr%2F3?blobs=true":
            return httpx.Response(200, json={**listing(*plain, "model.safetensors"), "sha": COMMIT[::-1]})
        return httpx.Response(200, json=listing(*plain)) if "/api/" in path else httpx.Response(200, content=b"w")

    hub(answer)
    source = resolve(folder, "org/clip", hub=True)
    assert source.kind == ("weights" if trusted else "config")
    if trusted:
        assert (folder / "org--clip" / ".revision").read_text() == COMMIT[::-1]
        wanted = ["config.json", "merges.txt", "model.safetensors", "tokenizer.json", "vocab.json"]
        assert sorted(path.name for path in (folder / "org--clip").iterdir()) == [".revision", *wanted]


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404),
        httpx.Response(200, html="<p>a captive portal"),
        httpx.Response(200, json=listing("config.json", "pytorch_model.bin")),
        httpx.Response(200, json=[]),
    ],
    ids=["unknown", "no JSON", "pickles only", "another JSON"],
)
def test_a_hub_that_has_nothing_usable_leaves_nothing_and_is_not_queried_again_soon(
    folder: Path, hub: Callable[..., list[str]], answer: httpx.Response
) -> None:
    requested = hub(lambda _: answer)
    before = sorted(folder.iterdir())
    for _ in range(2):
        assert resolve(folder, "org/other", hub=True).kind == "config"
    assert requested and len(requested) == len(set(requested))
    assert sorted(folder.iterdir()) == before


def answering(*names: str, size: int) -> Callable[[str], httpx.Response]:
    """A hub that has these files, and announces this size of each."""
    siblings = [{"rfilename": name, "size": size} for name in names]
    return lambda path: (
        httpx.Response(200, json={"sha": COMMIT, "siblings": siblings})
        if "/api/" in path
        else httpx.Response(200, content=b"w" * min(size, 1000))
    )


@pytest.mark.parametrize(
    ("shards", "size"),
    [(weights_folders.MAX_FILES, 1), (2, weights_folders.FOLDER_MAX_BYTES // 2)],
    ids=["files", "sum"],
)
def test_too_many_or_too_large_files_are_not_fetched(
    folder: Path, hub: Callable[..., list[str]], shards: int, size: int
) -> None:
    names = [f"model-{number:05d}-of-99999.safetensors" for number in range(shards)]
    requested = hub(answering("config.json", *names, size=size))
    assert resolve(folder, "org/name", hub=True).kind == "config"
    assert requested == ["/api/models/org/name?blobs=true"]


def test_a_sum_that_the_hub_did_not_announce_is_limited_too(
    folder: Path, hub: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights_folders, "FOLDER_MAX_BYTES", 1500)
    body = httpx.Response(200, content=b"w" * 1000)
    hub(lambda path: httpx.Response(200, json=listing("config.json", "model.safetensors")) if "/api/" in path else body)
    before = sorted(folder.iterdir())
    assert resolve(folder, "org/name", hub=True).kind == "config"
    assert sorted(folder.iterdir()) == before


def test_room_is_required_before_the_first_byte_and_the_weights_used_longest_ago_are_evicted(
    folder: Path, hub: Callable[..., list[str]]
) -> None:
    hub(answering("config.json", "model.safetensors", size=1000))
    room = partial(make_room, folder, max_bytes=5000, reserve_bytes=0)

    def fetch(name: str) -> Path:
        source = resolve_folder({"model": name}, folder, hub=True, check=lambda: None, room=room)
        return Path(source.path_or_name)

    first, second = fetch("org/first"), fetch("org/second")
    with in_use(first):  # by a run; and used after the second
        third = fetch("org/third")
        assert first.exists() and third.exists() and not second.exists()
        with in_use(third), pytest.raises(OutOfSpace, match="DARKROOM_WEIGHTS_MAX_BYTES"):
            fetch("org/fourth")
    assert (folder / "google--vit").exists(), "an operator put it there"
    assert fetch("org/fourth").exists()


def test_a_disk_without_room_fails_the_run_instead_of_training_from_scratch(
    folder: Path, hub: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: SimpleNamespace(free=2999))
    requested = hub(answering("config.json", "model.safetensors", size=1000))
    room = partial(make_room, folder, max_bytes=10**9, reserve_bytes=1000)
    with pytest.raises(OutOfSpace):
        resolve_folder({"model": "org/name"}, folder, hub=True, check=lambda: None, room=room)
    assert len(requested) == 1 and not list(folder.glob("*.part"))


def test_weights_that_get_their_name_while_another_worker_makes_room_can_be_evicted_later(tmp_path: Path) -> None:
    weights = tmp_path / "a.pt"
    note_fetched(weights)
    with pytest.raises(OutOfSpace):
        make_room(tmp_path, 10, max_bytes=5, reserve_bytes=0)
    weights.write_bytes(bytes(10))
    make_room(tmp_path, 5, max_bytes=5, reserve_bytes=0)
    assert not weights.exists()
