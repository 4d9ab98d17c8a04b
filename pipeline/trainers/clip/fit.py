"""Trains either learner with one loop; the files of the last complete epoch are the result.

A checkpoint is .safetensors, CSV and JSON: nothing in it can run when it is read.
"""

import json
import math
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import cross_entropy

from core.domain.errors import Diverged, WeightsUnavailable
from pipeline.params.clip import ClipParams
from pipeline.trainers import Checkpoint, Ended, Progress, Reporter, TrainingEnded
from pipeline.trainers.classifier.data import Tree
from pipeline.trainers.classifier.results import FittedClassifier, append_result, rounded, split_scores
from pipeline.trainers.clip.learners import FEATURES, Learner
from pipeline.trainers.results import RESULTS

LAST, BEST, OPTIMIZER, STATE = "last.safetensors", "best.safetensors", "optimizer.safetensors", "state.json"
MAX_GRADIENT_NORM = 1.0  # over all gradients of a step: the first ones of a fine-tune are large, at a scale of 100


@dataclass(slots=True)
class ClipState:
    """The state of a run, as state.json in each checkpoint. `weights`: the digest of the pretrained weights, which are
    not in the checkpoint."""

    weights: str
    epochs_done: int = 0
    best_epoch: int | None = None
    best_value: float = -math.inf
    best_loss: float = math.inf
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """The number of epochs and the highest learning rate; those of the mode where the params leave them empty."""

    epochs: int
    lr: float


def fit_clip(
    learner: Learner,
    tree: Tree,
    params: ClipParams,
    schedule: Schedule,
    work: Path,
    report: Reporter,
    *,
    weights: str,
    resume: Checkpoint | None,
) -> FittedClassifier:
    """Trains to the end of the epochs, of patience or of time. Raises Diverged, RunCancelled, TimedOut."""
    state = ClipState(weights) if resume is None else _restored(resume, work, weights)
    if resume and resume.ended:
        return _fitted(work, state, resume.ended)
    report.stage("training")
    ended: Ended = "completed"
    try:
        learner.prepare(lambda: report.poll(have_model=state.epochs_done > 0))
        optimizer = torch.optim.AdamW(learner.trained.values(), lr=schedule.lr, weight_decay=params.weight_decay)
        if resume:
            load_trained(learner, work / LAST)
            _load_optimizer(optimizer, work / OPTIMIZER)
        for epoch in range(state.epochs_done + 1, schedule.epochs + 1):
            ended = _epoch(epoch, learner, optimizer, tree, params, schedule, work, report, state) or ended
            if ended != "completed":
                break
    except TrainingEnded as end:
        ended = end.ended
        report.checkpoint(state.epochs_done, _files(work), ended=ended)
    return _fitted(work, state, ended)


def load_trained(learner: Learner, path: Path) -> None:
    """Sets the trained tensors to those in a file. Raises ValueError for a file of another model."""
    tensors = load_file(path)
    if tensors.keys() != learner.trained.keys():
        raise ValueError(f"{path.name} is of another model")
    with torch.no_grad():
        for name, value in learner.trained.items():
            value.copy_(tensors[name])


def _epoch(
    epoch: int,
    learner: Learner,
    optimizer: torch.optim.Optimizer,
    tree: Tree,
    params: ClipParams,
    schedule: Schedule,
    work: Path,
    report: Reporter,
    state: ClipState,
) -> Ended | None:
    """One epoch: trained, evaluated on val, saved and reported. Returns "early-stopped" when patience is over."""
    began = time.monotonic() - state.seconds
    torch.manual_seed(params.seed + epoch)  # for models with dropout: a resumed run drops the same units
    loss, lr = _pass(epoch, learner, optimizer, params, schedule, report, have_model=state.epochs_done > 0)
    labels = tree.splits["val"].labels
    logits = learner.predict(report.raise_if_cancelled)
    val_loss = float(cross_entropy(logits.float(), torch.tensor(labels)))
    if not (math.isfinite(loss) and math.isfinite(val_loss)):
        raise Diverged(f"The loss was not finite in epoch {epoch}.", epoch=epoch)
    scores = split_scores(tree.classes, logits.float().numpy(), labels)
    save_file(_trained_tensors(learner), work / LAST)
    _save_optimizer(optimizer, work / OPTIMIZER)
    # Of equal scores the lower loss is better: a head scores well long before it has converged.
    if (scores[params.best_by], -val_loss) > (state.best_value, -state.best_loss):
        state.best_epoch, state.best_value, state.best_loss = epoch, scores[params.best_by], val_loss
        shutil.copyfile(work / LAST, work / BEST)
    state.epochs_done, state.seconds = epoch, time.monotonic() - began
    (work / STATE).write_text(json.dumps(asdict(state)) + "\n", encoding="utf-8")
    metrics = {name: rounded(value) for name, value in {**scores, "loss": loss, "val_loss": val_loss, "lr": lr}.items()}
    append_result(work / RESULTS, epoch, state.seconds, metrics)
    report(Progress(epoch, schedule.epochs, metrics))
    out_of_patience = bool(params.patience) and epoch - (state.best_epoch or 0) >= params.patience
    ended: Ended | None = "completed" if epoch >= schedule.epochs else "early-stopped" if out_of_patience else None
    report.checkpoint(epoch, _files(work), ended=ended)
    return "early-stopped" if ended == "early-stopped" else None


def _pass(
    epoch: int,
    learner: Learner,
    optimizer: torch.optim.Optimizer,
    params: ClipParams,
    schedule: Schedule,
    report: Reporter,
    *,
    have_model: bool,
) -> tuple[float, float]:
    """One pass over the training split. Returns the mean loss and the last learning rate."""
    total, lr = 0.0, schedule.lr
    report.poll(have_model=have_model)
    for step, loss in enumerate(learner.losses(epoch)):
        lr = schedule.lr * warmup_cosine(
            (epoch - 1) * learner.steps + step, schedule.epochs * learner.steps, warmup=params.warmup
        )
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(learner.trained.values(), MAX_GRADIENT_NORM)
        optimizer.step()
        total += float(loss.detach())
        report.poll(have_model=have_model)
    return total / learner.steps, lr


def warmup_cosine(step: int, steps: int, *, warmup: float) -> float:
    """The factor on the highest learning rate at a step, from 0: a linear rise, then half a cosine down to 0."""
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def _trained_tensors(learner: Learner) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in learner.trained.items()}


def _save_optimizer(optimizer: torch.optim.Optimizer, path: Path) -> None:
    state = optimizer.state_dict()["state"]
    tensors = {f"{index}/{name}": value.cpu() for index, each in state.items() for name, value in each.items()}
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)


def _load_optimizer(optimizer: torch.optim.Optimizer, path: Path) -> None:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in load_file(path).items():
        index, _, name = key.partition("/")
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _files(work: Path) -> Mapping[str, Path]:
    """The files of the last complete epoch, by their names in a checkpoint."""
    names = [name for name in (FEATURES, LAST, BEST, OPTIMIZER, STATE, RESULTS) if (work / name).is_file()]
    return {name: work / name for name in names}


def _restored(resume: Checkpoint, work: Path, weights: str) -> ClipState:
    """Raises WeightsUnavailable for other weights than those that the run started from."""
    for path in resume.path.iterdir():
        if path.name in (FEATURES, LAST, BEST, OPTIMIZER, STATE, RESULTS):
            shutil.copyfile(path, work / path.name)
    content: dict[str, Any] = json.loads((work / STATE).read_text(encoding="utf-8"))
    state = ClipState(**{field.name: content[field.name] for field in fields(ClipState)})
    if state.weights != weights:
        raise WeightsUnavailable("The run started from other weights than those found now.", sha256=state.weights)
    return state


def _fitted(work: Path, state: ClipState, ended: Ended) -> FittedClassifier:
    return FittedClassifier(
        work / BEST, work / RESULTS, ended, state.epochs_done, state.best_epoch or state.epochs_done
    )
