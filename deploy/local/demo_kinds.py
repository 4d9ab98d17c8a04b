"""What differs between the kinds of demo: images, training params, display and the score that is good enough.

`DRAWN`: what `make demo KIND=...` draws. `KINDS`: what the demo does with a job, by the kind that `prepare` detected.
"""

import csv
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.domain.slugs import is_slug, slug_of
from darkroom import Client
from darkroom.schemas import ModelVersion
from deploy.local import poses, scenes
from deploy.local import progress_display as display
from deploy.local.drawing import jpeg
from deploy.local.private_stack import DemoFailed

SEED = 0
SCENES, MORE_SCENES = 240, 60
FIGURES, MORE_FIGURES = 1600, 320
DETECTOR_IMAGES = 2200  # of all epochs together: about four minutes at 320 px on two cores
CLASSIFIER_IMAGES = 30_000  # the same for a classifier: about three minutes at 64 px on two cores


@dataclass(frozen=True)
class Drawn:
    """`draw` writes the first dataset of the project, `draw_more` the second one, on which `tuning` starts from the
    first version. `held_out` draws an image of no split and returns its ground truth. `wanted`: metric and minimum on
    the test split of the first dataset.
    """

    project: str
    archive: str
    draw: Callable[[Path], str]
    draw_more: Callable[[Path], str]
    held_out: Callable[[Path], str]
    params: Mapping[str, Any]
    tuning: Mapping[str, Any]
    wanted: tuple[str, float]


@dataclass(frozen=True)
class Kind:
    """For the user's own ZIP: `own_params` by its number of images; `own_image` is one that was not trained on."""

    trainer: str
    own_params: Callable[[int], dict[str, Any]]
    own_image: Callable[[Client, ModelVersion, Path, Path], Path]
    show_metrics: Callable[[dict[str, Any]], None]
    least_score: Callable[[Mapping[str, Any]], float | None]
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


def _a_scene(path: Path) -> str:
    """The first scene of another seed with three kinds of shapes."""
    drawn = scenes.draw_scenes(SCENES, seed=SEED + 1)
    path.write_bytes(jpeg(next(scene for scene in drawn if len({box.name for box in scene.boxes}) >= 3).image))
    return ""


def _draw_poses(path: Path) -> str:
    poses.write_archive(path, figures=FIGURES, seed=SEED)
    return f"{FIGURES} figures in {len(poses.CLASSES)} poses"


def _draw_more_poses(path: Path) -> str:
    poses.write_archive(path, figures=MORE_FIGURES, seed=SEED + 2)
    return f"{MORE_FIGURES} more"


def _a_pose(path: Path) -> str:
    """The first running figure of another seed."""
    drawn = poses.draw_figures(len(poses.CLASSES), seed=SEED + 1)
    figure = next(figure for figure in drawn if figure.name == "running")
    path.write_bytes(jpeg(figure.image))
    return figure.name


_SCENE_PARAMS: dict[str, Any] = {
    "epochs": 24,
    "imgsz": 128,
    "batch": 8,
    "nbs": 8,  # 21 steps an epoch instead of 3: the best that 168 images give in two minutes
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
        held_out=_a_scene,
        params=_SCENE_PARAMS | {"model": "yolov8n", "pretrained": "never"},  # the same everywhere: nothing is fetched
        tuning=_SCENE_PARAMS | {"epochs": 6, "lr0": 0.0002, "warmup_epochs": 0},  # a tenth: it is nearly there
        wanted=("mAP50", 0.8),  # a model that learned nothing has 0
    ),
    "pose": Drawn(
        project="poses",
        archive="poses.zip",
        draw=_draw_poses,
        draw_more=_draw_more_poses,
        held_out=_a_pose,
        params=_POSE_PARAMS | {"model": "vit-mini-scratch"},  # 22,000 images seen: 0.97; half of that 0.9
        tuning=_POSE_PARAMS | {"epochs": 4, "lr": 0.0002},
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


def _from_prepared_set(
    client: Client,
    version: ModelVersion,
    archive: Path,  # noqa: ARG001 - for the other kind
    home: Path,
) -> Path:
    """The first image of the test split, or of val where there is no test split."""
    prepared = client.datasets.download(str(version.job_id), home / "dataset.tar")
    with tarfile.open(prepared) as tar:
        names = sorted(member.name for member in tar if member.isfile() and member.name.startswith("images/"))
        for split in ("test", "val"):
            chosen = next((name for name in names if name.startswith(f"images/{split}/")), None)
            if chosen:
                break
        if chosen is None:
            raise DemoFailed("The prepared dataset has no image outside its train split.")
        content = tar.extractfile(chosen)
        path = home / f"held-out{Path(chosen).suffix}"
        path.write_bytes(content.read() if content else b"")
    return path


def _from_archive(client: Client, version: ModelVersion, archive: Path, home: Path) -> Path:
    """The first image of the predictions on test, or on val where there is no test split, out of the ZIP itself."""
    predictions = client.models.artifact(version, "predictions.csv", home / "predictions.csv")
    with predictions.open(encoding="utf-8", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["split"])  # test before val
    with zipfile.ZipFile(archive) as opened:
        names = opened.namelist()
        for row in rows:
            found = next((name for name in names if f"/{name}".endswith(f"/{row['path']}")), None)
            if found:
                path = home / f"held-out{Path(found).suffix.lower()}"
                path.write_bytes(opened.read(found))
                return path
    raise DemoFailed("No image of the test split was found in the ZIP.")


def _best_f1_score(metrics: Mapping[str, Any]) -> float | None:
    """The score at which F1 peaks on the val split; 0.25, the default, at least, and when nothing was predicted."""
    return max(0.25, metrics["val"]["min_score"] or 0.0)


KINDS: Mapping[str, Kind] = {
    "detection": Kind(
        trainer="yolo",
        own_params=_detector_params,
        own_image=_from_prepared_set,
        show_metrics=display.metrics,
        least_score=_best_f1_score,
    ),
    "classification": Kind(
        trainer="vit",
        own_params=_classifier_params,
        own_image=_from_archive,
        show_metrics=display.classification,
        least_score=lambda _: None,
    ),
}
