"""What a training may start from: versions of the project, weights that this machine has, names that a hub may have."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.domain.main_metrics import main_metrics
from core.domain.model_names import version_name
from core.services.models.versions import VersionBrief
from pipeline.params.catalogue import entry_of, params_of
from pipeline.params.vit import SCRATCH_NAMES
from pipeline.params.yolo import weights_names

_MOST_FILES = 50
_LONGEST_NAME = 100  # bytes: `/` becomes `--`, and a file system takes 255
_OFFERED = {  # names that are offered whether or not their weights are here, small ones first
    "yolo": ("yolov8n", "yolov8s", "yolov8m", "yolo11n", "yolo11s", "yolo11m", "yolo26n", "yolo26s", "yolo26m"),
    "vit": ("google/vit-base-patch16-224-in21k", "microsoft/resnet-18", *SCRATCH_NAMES),
    "clip": ("openai/clip-vit-base-patch32", "openai/clip-vit-large-patch14"),
}
Standing = Literal["version", "here", "hub", "scratch", "missing"]


@dataclass(frozen=True, slots=True)
class Start:
    """`about`: beside its name. `meaning`: what a training with `pretrained: auto` does with it, a sentence."""

    name: str
    standing: Standing
    about: str
    meaning: str


def starts_of(trainer: str, versions: Iterable[VersionBrief], *, folder: Path, hub: bool) -> list[Start]:
    """Versions of the trainer, newest first; then what is in the weights folder; then what is not there."""
    own = [_of_version(each) for each in versions if each.row.trainer == trainer]
    names = dict.fromkeys((*_files(folder, entry_of(trainer).weights), *_OFFERED.get(trainer, ())))
    known = [start_of(trainer, name, folder=folder, hub=hub) for name in names]
    known.sort(key=lambda each: ("here", "hub", "scratch", "missing").index(each.standing))
    return [*own, *known]


def start_of(trainer: str, name: str, *, folder: Path, hub: bool) -> Start:
    """Of weights or an architecture."""
    if name in SCRATCH_NAMES:
        return Start(name, "scratch", "small, without weights", "It is built from its config and trained from scratch.")
    if is_here(trainer, name, folder):
        return Start(name, "here", "weights are here", f"It starts from the pretrained weights of {name}.")
    needed = trainer == "clip" or name.endswith(".pt")
    if hub and not name.endswith(".pt"):
        otherwise = "the run fails" if needed else "it trains from scratch"
        meaning = f"Its weights are not here: a worker asks the hub for them; where that has none, {otherwise}."
        return Start(name, "hub", "not here: from the hub", meaning)
    if needed:
        meaning = (
            f"It needs weights that are not in the folder {folder.name}: the run would fail. Put them there first."
        )
        return Start(name, "missing", "not here", meaning)
    return Start(name, "scratch", "not here, and the hub is off", "It trains from scratch: its weights are not here.")


def is_here(trainer: str, name: str, folder: Path) -> bool:
    """Whether the weights folder of this machine has them, as a worker looks for them."""
    if ".." in name or name.startswith("/") or len(name.encode("utf-8", "replace")) > _LONGEST_NAME:
        return False
    if entry_of(trainer).weights == "file":
        return any((folder / file).is_file() for file in weights_names(name.removesuffix(".yaml")))
    return any(_is_model(folder / each) for each in (name.replace("/", "--"), name))


def default_model(trainer: str) -> str:
    return str(params_of(trainer).model_fields["model"].default)


def _of_version(version: VersionBrief) -> Start:
    row, (split, figures) = version.row, main_metrics(version.metrics)
    measured = ", ".join(f"{key} {value:.3f}" for key, value in list(figures.items())[:1])
    about = f"{measured} on {split}" if measured else "not evaluated"
    return Start(
        version_name(row.project, row.number),
        "version",
        about,
        "It goes on from the weights of that version: choose few epochs and a low learning rate.",
    )


def _files(folder: Path, kind: Literal["file", "folder"]) -> Sequence[str]:
    """Names in the weights folder, as a request writes them."""
    if not folder.is_dir():
        return ()
    found = sorted(folder.iterdir())[: 20 * _MOST_FILES]
    if kind == "file":
        names = [path.name for path in found if path.suffix == ".pt" and path.is_file()]
        known = {file: name for name in _OFFERED["yolo"] for file in weights_names(name)}
        return [known.get(name, name) for name in names][:_MOST_FILES]
    return [path.name.replace("--", "/") for path in found if _is_model(path)][:_MOST_FILES]


def _is_model(path: Path) -> bool:
    return (path / "config.json").is_file() and any(path.glob("*.safetensors"))
