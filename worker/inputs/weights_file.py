"""What a training starts from, as a local path, before the child (which is always offline) is started."""

import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any, Literal

import httpx
import structlog

from core.domain.errors import WeightsUnavailable

HUB = "https://github.com/ultralytics/assets/releases/download/v8.4.0"  # of the pinned ultralytics
MAX_BYTES = 3 * 1024**3  # of one file; yolo has up to 0.4 GB, ViT-huge 2.5 GB
CONNECT_SECONDS, READ_SECONDS, WHOLE_SECONDS = 10.0, 30.0, 1800.0
AGAIN_SECONDS = 600.0  # a hub that did not answer is not asked again so soon: a start shall take under a second

log = structlog.get_logger(__name__)
_not_before: dict[str, float] = {}


@dataclass(frozen=True, slots=True)
class WeightsSource:
    """`config`: an architecture by name, from scratch. `weights`: a local file. `note` is for the run's page."""

    kind: Literal["config", "weights"]
    path_or_name: str
    note: str | None = None

    def as_spec(self) -> dict[str, str]:
        return {"kind": self.kind, "path_or_name": self.path_or_name}


def resolve_model(params: dict[str, Any], folder: Path, *, hub: bool, check: Callable[[], None]) -> WeightsSource:
    """By `model` and `pretrained` (auto, required, never). `check()` may raise during a download.

    A name ending in `.pt` is a file of the weights folder, which it cannot leave. Raises WeightsUnavailable for one
    that cannot be had, and for `required`.
    """
    name, wanted = str(params.get("model", "")), params.get("pretrained", "auto")
    is_file = name.endswith(".pt")
    stem = name.removesuffix(".pt").removesuffix(".yaml")
    if wanted == "never" and not is_file:
        return WeightsSource("config", f"{stem}.yaml", "trained from scratch: pretrained weights were not wanted")
    path = _file_in(folder, f"{stem}.pt") or (_from_hub(folder, stem, check) if hub else None)
    if path is not None:
        return WeightsSource("weights", str(path), f"started from the pretrained weights {path.name}")
    if is_file or wanted == "required":
        where = "the weights folder and the hub" if hub else "the weights folder"
        raise WeightsUnavailable(f"{stem}.pt is neither in {where}." if hub else f"{stem}.pt is not in {where}.")
    return WeightsSource("config", f"{stem}.yaml", "trained from scratch: no pretrained weights were found")


def inside(folder: Path, name: str) -> Path | None:
    """A path inside the folder, wherever a link may point; None when it would leave it."""
    root = folder.resolve()
    path = (root / name).resolve()
    return path if path.is_relative_to(root) else None


def _file_in(folder: Path, name: str) -> Path | None:
    path = inside(folder, name)
    return path if path and path.is_file() else None


def _from_hub(folder: Path, stem: str, check: Callable[[], None]) -> Path | None:
    if "/" in stem or any(time.monotonic() < _not_before.get(what, 0.0) for what in (HUB, stem)):
        return None
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{stem}.{token_hex(8)}.part"
    try:
        download(f"{HUB}/{stem}.pt", partial, check)
        if not zipfile.is_zipfile(partial):  # torch.save writes a ZIP
            raise ValueError("not a PyTorch file")
        return partial.replace(folder / f"{stem}.pt")
    except (httpx.HTTPError, OSError, ValueError) as error:
        log.warning("weights.not_downloaded", name=stem, error=str(error)[:200])
        away = isinstance(error, httpx.TransportError)
        _not_before[HUB if away else stem] = time.monotonic() + AGAIN_SECONDS
        return None
    finally:
        partial.unlink(missing_ok=True)


def download(url: str, target: Path, check: Callable[[], None]) -> None:
    """Raises httpx.HTTPError, OSError, and ValueError for what is too large or too slow."""
    ends = time.monotonic() + WHOLE_SECONDS
    timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
    size = 0
    with (
        httpx.stream("GET", url, follow_redirects=True, timeout=timeout) as answer,
        target.open("xb") as file,
    ):
        answer.raise_for_status()
        for chunk in answer.iter_bytes():
            check()
            size += len(chunk)
            if size > MAX_BYTES or time.monotonic() > ends:
                raise ValueError("too large or too slow")
            file.write(chunk)
