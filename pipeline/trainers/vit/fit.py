"""Trains with the loop of transformers, through its callbacks.

An exception from a callback ends it early; the files of the last complete epoch are the result.
"""

import json
import math
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from core.domain.errors import Diverged
from pipeline.params.vit import VitParams
from pipeline.trainers import Checkpoint, Ended, Progress, Reporter, TrainingEnded
from pipeline.trainers.classifier.data import Tree
from pipeline.trainers.classifier.results import SCORES, FittedClassifier, append_result, rounded, split_scores
from pipeline.trainers.classifier.tensors import Augmented, Processed, balanced_weights, collate, input_side
from pipeline.trainers.results import RESULTS
from pipeline.trainers.vit.models import WEIGHTS
from pipeline.trainers.vit.vendor import SCALER_FILE, STATE_FILES, ExactTrainer, arguments

BEST, STATE = "best.safetensors", "state.json"


@dataclass(slots=True)
class VitState:
    """The state of a run besides that of transformers, as state.json in each checkpoint."""

    epochs_done: int = 0
    best_epoch: int | None = None
    best_value: float = -math.inf
    seconds: float = 0.0


def fit_vit(
    tree: Tree,
    model: Any,
    processor: Any,
    params: VitParams,
    work: Path,
    report: Reporter,
    *,
    lr: float,
    resume: Checkpoint | None,
) -> FittedClassifier:
    """Trains to the end of the epochs, of patience or of time. Raises Diverged, RunCancelled, TimedOut."""
    state = _restored(resume, work) if resume else VitState()
    if resume and resume.ended:
        return _fitted(work, state, resume.ended)
    callbacks = _Callbacks(report, params, work, state)
    side = input_side(processor)
    train = Augmented(
        tree.splits["train"], processor, side=side, crop=params.crop, fliplr=params.fliplr, seed=params.seed
    )
    trainer = ExactTrainer(
        model=model,
        args=arguments(params, work, lr=lr),
        train_dataset=train,
        eval_dataset=Processed(tree.splits["val"], processor),
        data_collator=collate,
        processing_class=processor,
        compute_metrics=lambda output: split_scores(tree.classes, output.predictions, output.label_ids),
        compute_loss_func=_loss(params, tree),
        callbacks=[callbacks],
    )
    trainer.remove_callback(PrinterCallback)  # the reporter prints the same
    ended: Ended
    try:
        trainer.train(resume_from_checkpoint=str(work / "resume") if resume else None)
        ended = "completed" if state.epochs_done >= params.epochs else "early-stopped"
    except TrainingEnded as end:
        ended = end.ended
        report.checkpoint(state.epochs_done, callbacks.files(), ended=ended)
    return _fitted(work, state, ended)


class _Callbacks(TrainerCallback):  # type: ignore[misc]
    """Reports, stops and checkpoints at the callbacks of transformers."""

    def __init__(self, report: Reporter, params: VitParams, work: Path, state: VitState) -> None:
        self.report, self.params, self.work, self.state = report, params, work, state
        self.logged: dict[str, float] = {}
        self.began = time.monotonic() - state.seconds
        self.saved = work / "resume"

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.report.stage("training")
        self._poll()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._poll()

    def on_prediction_step(self, *_: Any, **__: Any) -> None:
        self.report.raise_if_cancelled()  # a stop waits: the epoch is nearly complete

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, float], **_: Any) -> None:  # noqa: ARG002
        self.logged |= logs

    def on_evaluate(self, args: Any, state: Any, control: Any, *, model: Any, **_: Any) -> None:  # noqa: ARG002
        """Called once an epoch is evaluated; its weights are copied if they are the best so far."""
        epoch = round(state.epoch)
        losses = self.logged.get("loss", math.nan), self.logged.get("eval_loss", math.nan)
        if not all(map(math.isfinite, losses)):
            raise Diverged(f"The loss was not finite in epoch {epoch}.", epoch=epoch)
        value = self.logged[f"eval_{self.params.best_by}"]
        if value > self.state.best_value:
            self.state.best_epoch, self.state.best_value = epoch, value
            self._keep_best(model)
        self.state.epochs_done, self.state.seconds = epoch, time.monotonic() - self.began
        patience = self.params.patience
        if patience and epoch - (self.state.best_epoch or 0) >= patience:
            control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called once an epoch is evaluated and saved."""
        self.saved = Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        done = self.state.epochs_done
        metrics = {name: rounded(value) for name, value in _metrics(self.logged).items()}
        append_result(self.work / RESULTS, done, self.state.seconds, metrics)
        self.report(Progress(done, self.params.epochs, metrics))
        last = done >= self.params.epochs
        ended: Ended | None = "completed" if last else "early-stopped" if control.should_training_stop else None
        self.report.checkpoint(done, self.files(), ended=ended)

    def files(self) -> dict[str, Path]:
        """The files of the last complete epoch, by their names in a checkpoint."""
        (self.work / STATE).write_text(json.dumps(asdict(self.state)) + "\n", encoding="utf-8")
        names = [*STATE_FILES, *([SCALER_FILE] if (self.saved / SCALER_FILE).exists() else [])]
        return {name: self.saved / name for name in names} | {name: self.work / name for name in (BEST, RESULTS, STATE)}

    def _poll(self) -> None:
        self.report.poll(have_model=self.state.epochs_done > 0)

    def _keep_best(self, model: Any) -> None:
        folder = self.work / "best"
        model.save_pretrained(folder, safe_serialization=True)
        (folder / WEIGHTS).replace(self.work / BEST)


def _loss(params: VitParams, tree: Tree) -> Any:
    labels = tree.splits["train"].labels
    balanced = params.class_weights == "balanced"
    weights = torch.tensor(balanced_weights(labels, len(tree.classes))) if balanced else None

    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:  # noqa: ARG001
        logits = outputs["logits"].float()
        weight = None if weights is None else weights.to(logits.device)
        return torch.nn.functional.cross_entropy(logits, labels, weight=weight, label_smoothing=params.label_smoothing)

    return loss


def _metrics(logged: Mapping[str, float]) -> dict[str, float]:
    scores = {name: logged[f"eval_{name}"] for name in SCORES}
    return {**scores, "loss": logged["loss"], "val_loss": logged["eval_loss"], "lr": logged["learning_rate"]}


def _restored(resume: Checkpoint, work: Path) -> VitState:
    shutil.copytree(resume.path, work / "resume")
    for name in (BEST, RESULTS, STATE):
        shutil.move(work / "resume" / name, work / name)
    return VitState(**json.loads((work / STATE).read_text(encoding="utf-8")))


def _fitted(work: Path, state: VitState, ended: Ended) -> FittedClassifier:
    return FittedClassifier(
        work / BEST, work / RESULTS, ended, state.epochs_done, state.best_epoch or state.epochs_done
    )
