"""The weights a training starts from, as a local path; resolved before the child, which is offline, is started."""

import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any, Literal

import httpx
import structlog

from core import clock
from core.domain.errors import OutOfSpace, WeightsUnavailable
from core.domain.limits import MIB
from core.storage.locked_files import lock_file
from pipeline.params.yolo import weights_names
from pipeline.process.disk_full import is_full_disk
from pipeline.process.specs import ModelSpec
from worker.inputs.weights_cache import note_fetched

HUB = "https://github.com/ultralytics/assets/releases/download/v8.4.0"  # of the pinned ultralytics
MAX_BYTES = 3 * 1024**3  # of one file; yolo has up to 0.4 GB, ViT-huge 2.5 GB
CONNECT_SECONDS, READ_SECONDS, WHOLE_SECONDS = 10.0, 30.0, 1800.0
ASK_EVERY_BYTES = 64 * MIB  # where the hub announces no size
RETRY_HUB_SECONDS = 600.0  # pause after a hub did not answer: without it each start would wait for its timeout

AskRoom = Callable[[int], None]

log = structlog.get_logger(__name__)
_not_before: dict[str, float] = {}


def ignore(_needed: int) -> None:
    """Room without a bound."""


@dataclass(frozen=True, slots=True)
class WeightsSource:
    """`config`: an architecture by name, from scratch. `weights`: a local file. `note` is for the run's page."""

    kind: Literal["config", "weights"]
    path_or_name: str
    note: str | None = None

    def as_spec(self) -> ModelSpec:
        return ModelSpec(kind=self.kind, path_or_name=self.path_or_name)


def resolve_model(
    params: dict[str, Any], folder: Path, *, hub: bool, check: Callable[[], None], room: AskRoom = ignore
) -> WeightsSource:
    """By `model` and `pretrained` (auto, required, never). `check()` may raise during a download, and `room(bytes)`
    before it.

    A name ending in `.pt` is a file of the weights folder, which it cannot leave. Raises WeightsUnavailable for one
    that cannot be had, and for `required`; OutOfSpace.
    """
    name, wanted = str(params.get("model", "")), params.get("pretrained", "auto")
    is_file = name.endswith(".pt")
    architecture = f"{name.removesuffix('.yaml')}.yaml"
    if wanted == "never" and not is_file:
        return WeightsSource("config", architecture, "trained from scratch: pretrained weights were not wanted")
    files = weights_names(name.removesuffix(".yaml"))
    path = _first_file_in(folder, files) or (_from_hub(folder, files[0], check, room) if hub else None)
    if path is not None:
        return WeightsSource("weights", str(path), f"started from the pretrained weights {path.name}")
    if is_file or wanted == "required":
        where = "neither in the weights folder nor on the hub" if hub else "not in the weights folder"
        raise WeightsUnavailable(f"{files[0]} is {where}.")
    return WeightsSource("config", architecture, "trained from scratch: no pretrained weights were found")


def inside(folder: Path, name: str) -> Path | None:
    """A path inside the folder, wherever a link may point; None when it would leave it."""
    root = folder.resolve()
    path = (root / name).resolve()
    return path if path.is_relative_to(root) else None


def _first_file_in(folder: Path, names: Iterable[str]) -> Path | None:
    paths = (inside(folder, name) for name in names)
    return next((path for path in paths if path and path.is_file()), None)


def _from_hub(folder: Path, name: str, check: Callable[[], None], room: AskRoom) -> Path | None:
    if "/" in name or any(clock.monotonic() < _not_before.get(what, 0.0) for what in (HUB, name)):
        return None
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{name}.{token_hex(8)}.part"
    try:
        download(f"{HUB}/{name}", partial, check, room=room)
        if not zipfile.is_zipfile(partial):  # torch.save writes a ZIP
            raise ValueError("not a PyTorch file")
        note_fetched(folder / name)
        return partial.replace(folder / name)
    except (httpx.HTTPError, OSError, ValueError) as error:
        if is_full_disk(error):
            raise OutOfSpace(f"The disk of {folder} is full.") from error
        log.warning("weights.not_downloaded", name=name, error=str(error)[:200])
        away = isinstance(error, httpx.TransportError)
        _not_before[HUB if away else name] = clock.monotonic() + RETRY_HUB_SECONDS
        return None
    finally:
        partial.unlink(missing_ok=True)


def download(
    url: str, target: Path, check: Callable[[], None], *, room: AskRoom = ignore, max_bytes: int = MAX_BYTES
) -> int:
    """Returns the size. `room(bytes)` is called before the first byte, and again for bytes that were not announced.

    Raises httpx.HTTPError, OSError, ValueError for what is too large or too slow, and what `check` and `room` raise.
    """
    ends = clock.monotonic() + WHOLE_SECONDS
    timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
    size = 0
    with (
        httpx.stream("GET", url, follow_redirects=True, timeout=timeout) as answer,
        target.open("xb") as file,
    ):
        lock_file(file)
        answer.raise_for_status()
        announced = answer.headers.get("content-length", "")
        granted = min(int(announced), max_bytes) if announced.isdigit() else 0
        room(granted)
        for chunk in answer.iter_bytes():
            check()
            size += len(chunk)
            if size > max_bytes or clock.monotonic() > ends:
                raise ValueError("too large or too slow")
            if size > granted:
                room(ASK_EVERY_BYTES)
                granted = size + ASK_EVERY_BYTES
            file.write(chunk)
    return size
