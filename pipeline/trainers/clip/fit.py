"""The training itself: one loop for both learners. The files of the last whole epoch are what counts.

All that a run goes on from is .safetensors, CSV and JSON: nothing in a checkpoint can run when it is read.
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
from pipeline.trainers.classifier.results import RESULTS, append_result, rounded, split_numbers
from pipeline.trainers.clip.learners import FEATURES, Learner

LAST, BEST, OPTIMIZER, STATE = "last.safetensors", "best.safetensors", "optimizer.safetensors", "state.json"
LARGEST_GRADIENT = 1.0  # norm of all gradients of a step: the first steps of a fine-tune at a scale of 100 are steep


@dataclass(slots=True)
class State:
    """What a run knows besides its numbers, as state.json in each checkpoint. `weights`: the digest of what it began
    from, which is not in the checkpoint."""

    weights: str
    epochs_done: int = 0
    best_epoch: int | None = None
    best_value: float = -math.inf
    best_loss: float = math.inf
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Fitted:
    """`best` holds what was learnt up to `best_epoch`, as it was then."""

    best: Path
    results: Path
    ended: Ended
    epochs_done: int
    best_epoch: int


@dataclass(frozen=True, slots=True)
class Pace:
    """`epochs` and the highest learning rate, once the mode has said what is empty."""

    epochs: int
    lr: float


def fit(
    learner: Learner,
    tree: Tree,
    params: ClipParams,
    pace: Pace,
    work: Path,
    report: Reporter,
    *,
    weights: str,
    resume: Checkpoint | None,
) -> Fitted:
    """Train to the end of the epochs, of patience or of time. Raises Diverged, RunCancelled, TimedOut."""
    state = State(weights) if resume is None else _laid_out(resume, work, weights)
    if resume and resume.ended:
        return _fitted(work, state, resume.ended)
    report.stage("training")
    ended: Ended = "completed"
    try:
        learner.prepare(lambda: report.poll(have_model=state.epochs_done > 0))
        optimizer = torch.optim.AdamW(learner.trained.values(), lr=pace.lr, weight_decay=params.weight_decay)
        if resume:
            put_learnt(learner, work / LAST)
            _put_optimizer(optimizer, work / OPTIMIZER)
        for epoch in range(state.epochs_done + 1, pace.epochs + 1):
            ended = _epoch(epoch, learner, optimizer, tree, params, pace, work, report, state) or ended
            if ended != "completed":
                break
    except TrainingEnded as end:
        ended = end.ended
        report.checkpoint(state.epochs_done, _files(work), ended=ended)
    return _fitted(work, state, ended)


def put_learnt(learner: Learner, path: Path) -> None:
    """Set what is trained to what a file holds, exactly."""
    learnt = load_file(path)
    if learnt.keys() != learner.trained.keys():
        raise ValueError(f"{path.name} is of another model")
    with torch.no_grad():
        for name, value in learner.trained.items():
            value.copy_(learnt[name])


def _epoch(
    epoch: int,
    learner: Learner,
    optimizer: torch.optim.Optimizer,
    tree: Tree,
    params: ClipParams,
    pace: Pace,
    work: Path,
    report: Reporter,
    state: State,
) -> Ended | None:
    """One pass, judged, told and saved. Says how the training ended, if it did not by its epochs."""
    began = time.monotonic() - state.seconds
    torch.manual_seed(params.seed + epoch)  # for models with dropout: a resumed run drops the same
    loss, lr = _pass(epoch, learner, optimizer, params, pace, report, have_model=state.epochs_done > 0)
    labels = tree.splits["val"].labels
    logits = learner.judge(report.raise_if_cancelled)
    val_loss = float(cross_entropy(logits.float(), torch.tensor(labels)))
    if not (math.isfinite(loss) and math.isfinite(val_loss)):
        raise Diverged(f"The loss was not finite in epoch {epoch}.", epoch=epoch)
    scores = split_numbers(tree.classes, logits.float().numpy(), labels)
    save_file(_learnt(learner), work / LAST)
    _save_optimizer(optimizer, work / OPTIMIZER)
    # of equal scores the lower loss is better: a head scores well long before it is settled
    if (scores[params.best_by], -val_loss) > (state.best_value, -state.best_loss):
        state.best_epoch, state.best_value, state.best_loss = epoch, scores[params.best_by], val_loss
        shutil.copyfile(work / LAST, work / BEST)
    state.epochs_done, state.seconds = epoch, time.monotonic() - began
    (work / STATE).write_text(json.dumps(asdict(state)) + "\n", encoding="utf-8")
    metrics = {name: rounded(value) for name, value in {**scores, "loss": loss, "val_loss": val_loss, "lr": lr}.items()}
    append_result(work / RESULTS, epoch, state.seconds, metrics)
    report(Progress(epoch, pace.epochs, metrics))
    spent = bool(params.patience) and epoch - (state.best_epoch or 0) >= params.patience
    ended: Ended | None = "completed" if epoch >= pace.epochs else "early-stopped" if spent else None
    report.checkpoint(epoch, _files(work), ended=ended)
    return "early-stopped" if ended == "early-stopped" else None


def _pass(
    epoch: int,
    learner: Learner,
    optimizer: torch.optim.Optimizer,
    params: ClipParams,
    pace: Pace,
    report: Reporter,
    *,
    have_model: bool,
) -> tuple[float, float]:
    """Mean loss, and the last learning rate."""
    total, lr = 0.0, pace.lr
    report.poll(have_model=have_model)
    for step, loss in enumerate(learner.losses(epoch)):
        lr = pace.lr * pace_of((epoch - 1) * learner.steps + step, pace.epochs * learner.steps, warmup=params.warmup)
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(learner.trained.values(), LARGEST_GRADIENT)
        optimizer.step()
        total += float(loss.detach())
        report.poll(have_model=have_model)
    return total / learner.steps, lr


def pace_of(step: int, steps: int, *, warmup: float) -> float:
    """Part of the highest learning rate at a step from 0: up in a line, down in half a cosine."""
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def _learnt(learner: Learner) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in learner.trained.items()}


def _save_optimizer(optimizer: torch.optim.Optimizer, path: Path) -> None:
    kept = optimizer.state_dict()["state"]
    tensors = {f"{index}/{name}": value.cpu() for index, each in kept.items() for name, value in each.items()}
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)


def _put_optimizer(optimizer: torch.optim.Optimizer, path: Path) -> None:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in load_file(path).items():
        index, _, name = key.partition("/")
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _files(work: Path) -> Mapping[str, Path]:
    """Those of the last whole epoch, by their names in a checkpoint."""
    names = [name for name in (FEATURES, LAST, BEST, OPTIMIZER, STATE, RESULTS) if (work / name).is_file()]
    return {name: work / name for name in names}


def _laid_out(resume: Checkpoint, work: Path, weights: str) -> State:
    """Raises WeightsUnavailable where the weights are others than those that the run began from."""
    for path in resume.path.iterdir():
        if path.name in (FEATURES, LAST, BEST, OPTIMIZER, STATE, RESULTS):
            shutil.copyfile(path, work / path.name)
    told: dict[str, Any] = json.loads((work / STATE).read_text(encoding="utf-8"))
    state = State(**{field.name: told[field.name] for field in fields(State)})
    if state.weights != weights:
        raise WeightsUnavailable("The run began from other weights than there are now.", sha256=state.weights)
    return state


def _fitted(work: Path, state: State, ended: Ended) -> Fitted:
    return Fitted(work / BEST, work / RESULTS, ended, state.epochs_done, state.best_epoch or state.epochs_done)
