"""Pretrained weights that are a folder: a config and .safetensors, from the weights folder or a Hugging Face hub.

Nothing that could run code is fetched: no pickles, no Python. One commit is listed first, and its files come through
the same download as a single file's, which can be cancelled and is bounded.
"""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx
import structlog

from core import clock
from core.domain.errors import OutOfSpace, WeightsUnavailable
from core.domain.limits import GIB
from core.storage.locked_files import locked
from pipeline.process.disk_full import is_full_disk
from worker.inputs.weights_cache import note_fetched
from worker.inputs.weights_file import (
    CONNECT_SECONDS,
    MAX_BYTES,
    RETRY_HUB_SECONDS,
    AskRoom,
    WeightsSource,
    download,
    ignore,
    inside,
)

HUB = "https://huggingface.co"
CONFIG = "config.json"
MAX_FILES = 64  # the largest models come in some twenty
FOLDER_MAX_BYTES = 8 * GIB  # of all files of a model; a ViT-huge has 2.5
COMMIT = re.compile(r"[0-9a-f]{40}")
WANTED = re.compile(
    r"(config|preprocessor_config|processor_config|model\.safetensors\.index)\.json|model.*\.safetensors"
    r"|(tokenizer|tokenizer_config|special_tokens_map|vocab)\.json|merges\.txt"  # of models with text, such as CLIP
)
# Some repositories (openai/clip-vit-base-patch32) have pickles only; a bot of the hub offers the same weights as
# .safetensors in a pull request. transformers uses them, too, by the same author and title.
CONVERTED_BY, CONVERTED_TITLE = "SFconvertbot", "Adding `safetensors` variant of this model"
HUB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
REVISION = ".revision"  # the commit on the hub, beside the files of that commit
MADE_HERE = re.compile(r"[a-z0-9-]+-scratch")  # made from a config by the trainer: no weights exist

log = structlog.get_logger(__name__)
_not_before: dict[str, float] = {}


def resolve_folder(
    params: dict[str, Any], folder: Path, *, hub: bool, check: Callable[[], None], room: AskRoom = ignore
) -> WeightsSource:
    """By `model` and `pretrained` (auto, required, never). `check()` may raise during a download, and `room(bytes)`
    before it.

    `org/name` lies in the weights folder as `org--name` or `org/name`, `name` as itself. Raises WeightsUnavailable for
    `required` weights that cannot be had; OutOfSpace.
    """
    name, wanted = str(params.get("model", "")), params.get("pretrained", "auto")
    if MADE_HERE.fullmatch(name):
        return WeightsSource("config", name)
    if wanted == "never":
        return WeightsSource("config", name, "trained from scratch: pretrained weights were not wanted")
    path = _in_folder(folder, name) or (_from_hub(folder, name, check, room) if hub else None)
    if path is not None:
        return WeightsSource("weights", str(path), f"started from the pretrained weights {name}{_revision(path)}")
    if wanted == "required":
        where = "in the weights folder nor on the hub" if hub else "in the weights folder"
        raise WeightsUnavailable(f"{name} is {'neither' if hub else 'not'} {where}.", model=name)
    return WeightsSource("config", name, "trained from scratch: no pretrained weights were found")


@dataclass(frozen=True, slots=True)
class _Listing:
    """What a name has on the hub, at one commit: file -> address, and the sum of the sizes where the hub names them."""

    commit: str
    files: dict[str, str]
    bytes: int


def _revision(path: Path) -> str:
    file = path / REVISION
    return f" at {file.read_text(encoding='ascii')[:12]}" if file.is_file() else ""


def _in_folder(folder: Path, name: str) -> Path | None:
    """Complete only: a config and weights. It cannot leave the folder, wherever a link may point."""
    for candidate in (name.replace("/", "--"), name):
        path = inside(folder, candidate)
        if path and path.is_dir() and (path / CONFIG).is_file() and any(path.glob("*.safetensors")):
            return path
    return None


def _from_hub(folder: Path, name: str, check: Callable[[], None], room: AskRoom) -> Path | None:
    if not HUB_NAME.fullmatch(name) or any(clock.monotonic() < _not_before.get(what, 0.0) for what in (HUB, name)):
        return None
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{name.replace('/', '--')}.{token_hex(8)}.part"
    partial.mkdir()
    try:
        with locked(partial):
            listing = _list(name)
            room(listing.bytes)
            left = FOLDER_MAX_BYTES
            for file, address in sorted(listing.files.items()):
                check()
                left -= download(address, partial / file, check, room=room, max_bytes=min(left, MAX_BYTES))
            (partial / REVISION).write_text(listing.commit, encoding="ascii")
            target = folder / name.replace("/", "--")
            note_fetched(target)
            return partial.rename(target)
    except (httpx.HTTPError, OSError, ValueError, KeyError, TypeError) as error:
        if is_full_disk(error):
            raise OutOfSpace(f"The disk of {folder} is full.") from error
        log.warning("weights.not_downloaded", name=name, error=str(error)[:200])
        away = isinstance(error, httpx.TransportError)
        _not_before[HUB if away else name] = clock.monotonic() + RETRY_HUB_SECONDS
        return _in_folder(folder, name)  # another worker may have been first
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _list(name: str) -> _Listing:
    """Raises httpx.HTTPError when the hub does not answer or does not know it, ValueError without weights."""
    listing = _list_commit(name, f"/api/models/{name}?blobs=true")
    if not any(map(_is_weights, listing.files)) and (number := _converted(name)) is not None:
        listing = _list_commit(name, f"/api/models/{name}/revision/refs%2Fpr%2F{number}?blobs=true")
    if CONFIG not in listing.files or not any(map(_is_weights, listing.files)):
        raise ValueError("it has no config.json with .safetensors")
    if len(listing.files) > MAX_FILES or listing.bytes > FOLDER_MAX_BYTES:
        raise ValueError(f"it has {len(listing.files)} files of {listing.bytes} bytes")
    return listing


def _list_commit(name: str, path: str) -> _Listing:
    answer = _get_json(path)
    commit, sizes = str(answer["sha"]), {str(each["rfilename"]): each.get("size") for each in answer["siblings"]}
    if not COMMIT.fullmatch(commit):
        raise ValueError(f"{commit[:50]} is not a commit")
    wanted = {each: size if isinstance(size, int) else 0 for each, size in sizes.items() if WANTED.fullmatch(each)}
    files = {each: f"{HUB}/{name}/resolve/{commit}/{each}" for each in wanted}
    return _Listing(commit, files, sum(wanted.values()))


def _converted(name: str) -> int | None:
    """The number of the open pull request in which the hub's bot offers .safetensors."""
    offered = _get_json(f"/api/models/{name}/discussions?type=pull_request&status=open&author={CONVERTED_BY}")
    for each in offered["discussions"]:
        is_open = each["isPullRequest"] and each["status"] == "open"
        if is_open and each["title"] == CONVERTED_TITLE and each["author"]["name"] == CONVERTED_BY:
            return int(each["num"])
    return None


def _get_json(path: str) -> Any:
    return httpx.get(f"{HUB}{path}", timeout=CONNECT_SECONDS, follow_redirects=True).raise_for_status().json()


def _is_weights(name: str) -> bool:
    return name.endswith(".safetensors")
