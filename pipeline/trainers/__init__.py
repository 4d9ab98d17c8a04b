"""The protocol of trainers: each is a module that adapts one framework to the commands train, evaluate and predict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pipeline.dataset.predictions import PredictedBox, PredictedLabel
from pipeline.process.checkpoint_manifest import Ended as Ended

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydantic import BaseModel


class TrainingEnded(Exception):
    """Raised by `report.poll`: end the training now and keep the best model so far. Not a failure."""

    def __init__(self, ended: Ended) -> None:
        self.ended = ended
        super().__init__(ended)


@dataclass(frozen=True, slots=True)
class Progress:
    """The state after an epoch: `epoch` counts from 1; `metrics` by name, None where a number is not finite."""

    epoch: int
    epochs: int
    metrics: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class ModelSource:
    """The start of a training. `config`: an architecture with random weights. `weights`: a local file or folder.

    `parent`: the name of the model version whose file it is. Of its head, the rows of classes that both have are kept.
    """

    kind: Literal["config", "weights"]
    path_or_name: str
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A verified checkpoint on this machine. `ended` is set after the last epoch: only the evaluation is left."""

    path: Path
    epoch: int
    ended: Ended | None


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """The result of a training; its files are in `out/artifacts`. `weights` is the name of one of them."""

    weights: str
    classes: tuple[str, ...]
    input_size: int  # side of the square input, px
    ended: Ended
    epochs_done: int
    best_epoch: int | None
    versions: Mapping[str, str]
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AdoptedModel:
    """A model that was trained elsewhere, written as this trainer publishes its own. `notes`: sentences for people.

    `kind`: of the datasets that it is for.
    """

    weights: str
    kind: str
    classes: tuple[str, ...]
    input_size: int  # side of the square input, px
    versions: Mapping[str, str]
    facts: Mapping[str, Any]
    notes: tuple[str, ...] = ()


class Reporter(Protocol):
    """Progress up, commands down. Every method raises RunCancelled once the run is cancelled."""

    def __call__(self, progress: Progress) -> None:
        """Reports an epoch; called once for each."""

    def poll(self, *, have_model: bool) -> None:
        """Called at every batch. Raises TrainingEnded on a stop or at the end of the time, TimedOut without a model."""

    def raise_if_cancelled(self) -> None:
        """Called during the evaluation, which a stop does not end."""

    def stage(self, name: Literal["loading", "training", "evaluating", "packing"]) -> None:
        """Reports the start of a stage."""

    def note(self, name: str, text: str) -> None:
        """Adds a note for people to the run."""

    def checkpoint(self, epoch: int, files: Mapping[str, Path], *, ended: Ended | None) -> None:
        """Offers a checkpoint after `epoch` (name -> file); written when one is due, and always when `ended` is set."""


class Predictor(Protocol):
    """A loaded model. Not thread-safe. `thresholds`: of each class, those that val chose, or the default."""

    classes: tuple[str, ...]
    thresholds: tuple[float, ...]

    def predict(
        self, image: Path, *, min_score: float | None = None
    ) -> Sequence[PredictedBox] | Sequence[PredictedLabel]:
        """Boxes above the thresholds, or the most probable classes (at most five); best first.

        `min_score`: instead of the thresholds; classes below it are then left out.
        """

    def raw(self, batch: "NDArray[np.float32]") -> "NDArray[np.float32]":
        """(B, 3, height, width), as the exported model takes it -> what that answers."""


class Trainer(Protocol):
    def train(
        self,
        dataset: Path,
        params: "BaseModel",
        out: Path,
        report: Reporter,
        *,
        model: ModelSource,
        resume: Checkpoint | None,
    ) -> TrainedModel:
        """Trains on a prepared tree, in which nothing is changed; the artifacts are left in `out/artifacts`.

        Raises a TrainingFailed, of them ImagesDiffer where the images read are not those of the manifest, and
        RunCancelled; never TrainingEnded.
        """

    def load(self, model: Path) -> Predictor:
        """Loads a folder of artifacts or a weights file. Raises WeightsUnavailable."""

    def evaluate(
        self,
        model: Path,
        dataset: Path,
        out: Path,
        report: Reporter,
        *,
        splits: Sequence[str],
        batch: int,
        device: str,
    ) -> None:
        """Evaluates a trained model on splits of a prepared tree: metrics.json, images, report.{html,xlsx} in `out`.

        Raises WeightsUnavailable, ParamsInvalid for a missing split or other classes, RunCancelled.
        """

    def adopt(self, source: Path, artifacts: Path, report: Reporter, *, classes: Sequence[str] | None) -> AdoptedModel:
        """Writes the hostile model `source` into `artifacts` as a published one: a .pt file, a folder of validated
        JSON and .safetensors, or a folder of an .onnx file and what is said about it. `classes`: those of the dataset
        that it is for, where one is named.

        Nothing of `source` but numbers, names and plain values reaches the result. Raises ModelRefused and
        WeightsUnavailable; any other exception means that the file is broken.
        """

    def export_onnx(self, model: Path, target: Path, *, about: Mapping[str, Any]) -> None:
        """Writes the model as ONNX, in single precision, with the description of pipeline.predictor.metadata.

        Raises WeightsUnavailable, and ValueError for a model that the predictor has no equal for.
        """

    def trace(self, model: Path, target: Path) -> None:
        """Writes the model as TorchScript: (B, 3, height, width) -> the same output as the ONNX. Raises as above."""
