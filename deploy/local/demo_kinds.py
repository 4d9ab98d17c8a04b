"""What differs between the kinds of demo: images, training params, display and the score that is good enough.

`DRAWN`: what `make demo KIND=...` draws. `KINDS`: what the demo does with a job, by the kind that `prepare` detected.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.domain.slugs import is_slug, slug_of
from deploy.local import poses
from deploy.local import progress_display as display
from pipeline.samples import scenes

SEED = 0
SCENES, MORE_SCENES = 440, 60
FIGURES, MORE_FIGURES = 1600, 320
DETECTOR_IMAGES = 2200  # of all epochs together: about four minutes at 320 px on two cores
CLASSIFIER_IMAGES = 30_000  # the same for a classifier: about three minutes at 64 px on two cores


@dataclass(frozen=True)
class Drawn:
    """`draw` writes the first dataset of the project, `draw_more` what extends it to the second one, on which `tuning`
    starts from the first version. `held_out`: the fraction of the first one for val, and that for test; the service's
    defaults without. `wanted`: metric and minimum on its test split.
    """

    project: str
    archive: str
    draw: Callable[[Path], str]
    draw_more: Callable[[Path], str]
    params: Mapping[str, Any]
    tuning: Mapping[str, Any]
    wanted: tuple[str, float]
    held_out: float | None = None


@dataclass(frozen=True)
class Kind:
    """`own_params`: for the user's own ZIP, by its number of images."""

    trainer: str
    own_params: Callable[[int], dict[str, Any]]
    show_metrics: Callable[[dict[str, Any]], None]
    artifacts: tuple[tuple[str, str], ...] = (
        ("confusion matrix", "test_confusion_matrix.png"),
        ("report", "report.html"),
    )


def _draw_scenes(path: Path) -> str:
    scenes.write_archive(path, scenes=SCENES, seed=SEED)
    return f"{SCENES} scenes"


def _draw_more_scenes(path: Path) -> str:
    scenes.write_archive(path, scenes=MORE_SCENES, seed=SEED + 2)
    return f"{MORE_SCENES} more"


def _draw_poses(path: Path) -> str:
    poses.write_archive(path, figures=FIGURES, seed=SEED)
    return f"{FIGURES} figures in {len(poses.CLASSES)} poses"


def _draw_more_poses(path: Path) -> str:
    poses.write_archive(path, figures=MORE_FIGURES, seed=SEED + 2)
    return f"{MORE_FIGURES} more"


_SCENE_PARAMS: dict[str, Any] = {
    "epochs": 9,  # of 350 images: in a minute less about as good as 24 epochs of 168
    "warmup_epochs": 1,
    "imgsz": 128,
    "batch": 8,
    "nbs": 8,  # a step for each batch, not for each 64 images
    "optimizer": "AdamW",
    "lr0": 0.002,
    "momentum": 0.9,
    "mosaic": 0.0,
    "scale": 0.3,
}
_POSE_PARAMS: dict[str, Any] = {"epochs": 20, "batch": 16, "lr": 0.001, "crop": 0.8, "patience": 0}

DRAWN: Mapping[str, Drawn] = {
    "detection": Drawn(
        project="shapes",
        archive="shapes-voc.zip",
        draw=_draw_scenes,
        draw_more=_draw_more_scenes,
        params=_SCENE_PARAMS | {"model": "yolov8n", "pretrained": "never"},  # the same everywhere: nothing is fetched
        tuning=_SCENE_PARAMS | {"epochs": 2, "lr0": 0.0002, "warmup_epochs": 0},  # a tenth: it is nearly there
        wanted=("mAP50", 0.8),  # 0.86 where it was tried; a model that learned nothing has 0
        held_out=0.1,
    ),
    "pose": Drawn(
        project="poses",
        archive="poses.zip",
        draw=_draw_poses,
        draw_more=_draw_more_poses,
        params=_POSE_PARAMS | {"model": "vit-mini-scratch"},  # 22,000 images seen: 0.97; half of that 0.9
        tuning=_POSE_PARAMS | {"epochs": 2, "lr": 0.0002},
        wanted=("accuracy", 0.85),  # chance is 0.125
    ),
}


def project_of(archive: Path) -> str:
    """The name of the project that the user's own ZIP joins."""
    slug = slug_of(archive.name)
    return slug if is_slug(slug) else "dataset"


def _detector_params(images: int) -> dict[str, Any]:
    """A first result on the user's images within minutes: as many epochs as the time allows, small batches."""
    epochs = min(150, max(10, round(DETECTOR_IMAGES / (0.7 * images))))  # 0.7: the train split
    steps = {"batch": 4, "nbs": 4, "optimizer": "AdamW", "lr0": 0.001, "momentum": 0.9}
    return {"model": "yolov8n", "imgsz": 320, "epochs": epochs, "patience": 0, "max_minutes": 4, **steps}


def _classifier_params(images: int) -> dict[str, Any]:
    epochs = min(100, max(5, round(CLASSIFIER_IMAGES / (0.7 * images))))
    return {**DRAWN["pose"].params, "epochs": epochs, "max_minutes": 4}


KINDS: Mapping[str, Kind] = {
    "detection": Kind(
        trainer="yolo",
        own_params=_detector_params,
        show_metrics=display.metrics,
    ),
    "classification": Kind(
        trainer="vit",
        own_params=_classifier_params,
        show_metrics=display.classification,
    ),
}
