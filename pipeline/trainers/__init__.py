"""The seam between the `train` verb and a framework: a trainer is a module that fits this protocol."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pipeline.dataset.predictions import PredictedBox, PredictedLabel

if TYPE_CHECKING:
    from pydantic import BaseModel

Ended = Literal["completed", "early-stopped", "max-minutes", "stopped"]


class TrainingEnded(Exception):
    """Raised by `report.poll`: end now, keep the best so far. Never a failure."""

    def __init__(self, ended: Ended) -> None:
        self.ended = ended
        super().__init__(ended)


@dataclass(frozen=True, slots=True)
class Progress:
    """After an epoch: `epoch` is 1-based and done; `metrics` by name, None where a number is not finite."""

    epoch: int
    epochs: int
    metrics: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class ModelSource:
    """What a training starts from. `config`: an architecture, weights drawn from the seed. `weights`: a local file."""

    kind: Literal["config", "weights"]
    path_or_name: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A verified checkpoint on this machine. `ended` is set when its epoch was the last: only evaluation is left."""

    path: Path
    epoch: int
    ended: Ended | None


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """What a trainer hands back; its files lie in `out/artifacts`. `weights` names one of them."""

    weights: str
    classes: tuple[str, ...]
    input_size: int  # side of the square input, px
    ended: Ended
    epochs_done: int
    best_epoch: int | None
    versions: Mapping[str, str]
    facts: Mapping[str, Any]


class Reporter(Protocol):
    """How a trainer tells and asks. Every call raises RunCancelled once the run was asked to be thrown away."""

    def __call__(self, progress: Progress) -> None:
        """Once per epoch."""

    def poll(self, *, have_model: bool) -> None:
        """At every batch. Raises TrainingEnded when told to stop or out of time; TimedOut without a model yet."""

    def raise_if_cancelled(self) -> None:
        """Where ending early makes no sense any more (evaluation): only RunCancelled."""

    def stage(self, name: Literal["loading", "training", "evaluating", "packing"]) -> None: ...

    def note(self, name: str, text: str) -> None:
        """Something people should know about this run."""

    def checkpoint(self, epoch: int, files: Mapping[str, Path], *, ended: Ended | None) -> None:
        """Offer a checkpoint after `epoch` (name -> file). Written when one is due, always when `ended` is set."""


class Predictor(Protocol):
    """A loaded model. Not thread-safe."""

    classes: tuple[str, ...]

    def predict(self, image: Path, *, min_score: float = 0.25) -> Sequence[PredictedBox] | Sequence[PredictedLabel]:
        """Boxes from `min_score` up, or the most probable classes (at most five); best first."""


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
        """Train on a prepared tree (which may be written into) and leave the artifacts in `out/artifacts`.

        Raises a TrainingFailed, TrainingEnded never, RunCancelled when told so.
        """

    def load(self, model: Path) -> Predictor:
        """Load from a folder of artifacts or from a weights file. Raises WeightsUnavailable."""

    def evaluate(
        self, model: Path, dataset: Path, out: Path, report: Reporter, *, split: str, batch: int, device: str
    ) -> None:
        """Judge a trained model on a split of a prepared tree: metrics.json, images, report.{html,xlsx} in `out`.

        Raises WeightsUnavailable, ParamsInvalid for a split or classes that do not fit, RunCancelled.
        """
