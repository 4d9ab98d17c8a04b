"""A clip run from top to bottom: data, prompts, learn where asked to, publish, evaluate, suspect labels, report."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import set_seed

from core.domain.errors import WeightsUnavailable
from pipeline.dataset.model import HELD_OUT_SPLITS
from pipeline.evaluation.classification import write_outcome
from pipeline.evaluation.evaluated import Judged
from pipeline.evaluation.outcome import ClassifierEvaluation, Suspected
from pipeline.evaluation.report import Cell
from pipeline.params.clip import ClipParams
from pipeline.trainers import Checkpoint, Reporter, TrainedModel
from pipeline.trainers.classifier.data import Tree, open_tree
from pipeline.trainers.classifier.label_errors import suspected_labels
from pipeline.trainers.classifier.model_zip import MODEL_ZIP
from pipeline.trainers.classifier.predict_split import choose_device, judge
from pipeline.trainers.classifier.results import RESULTS, read_results
from pipeline.trainers.classifier.tensors import input_side
from pipeline.trainers.clip.fit import Fitted, Pace, fit, put_learnt
from pipeline.trainers.clip.learners import FEATURES, Probe, Seen, Tower
from pipeline.trainers.clip.models import VERSIONS, Clip, prompt_head, publish, read_clip, read_published
from pipeline.trainers.clip.prompts import embed_prompts, prompts_of

# of AdamW. 1e-5: that of CLIP's fine-tuning recipes; a head on standardised features settles within some tens of epochs
PACES = {"linear-probe": Pace(epochs=100, lr=1e-3), "fine-tune": Pace(epochs=10, lr=1e-5)}


def train(
    dataset: Path,
    params: ClipParams,
    out: Path,
    report: Reporter,
    *,
    weights: Path,
    resume: Checkpoint | None,
    work: Path,
) -> TrainedModel:
    """See `pipeline.trainers.Trainer`. `weights`: a folder. `work`: an empty one.

    Raises ParamsInvalid for prompts of unknown classes.
    """
    artifacts = out / "artifacts"
    artifacts.mkdir(parents=True, exist_ok=True)
    device = choose_device(params.device)
    tree = open_tree(dataset)
    prompts = prompts_of(tree.classes, params)
    set_seed(params.seed)
    clip = read_clip(weights)
    clip.model.to(device)
    embedded = embed_prompts(clip.model, clip.tokenizer, prompts, report)
    seen = Seen(clip, tree, batch=2 * params.batch, device=device)
    learner = _learner(clip, embedded, seen, tree, params, work, device=device)

    fitted, head = None, prompt_head(clip.model, embedded)
    if learner is not None:
        pace = pace_of_run(params)
        fitted = fit(learner, tree, params, pace, work, report, weights=clip.digest, resume=resume)
        learner.prepare(report.raise_if_cancelled)  # a run of which only evaluation is left has not
        put_learnt(learner, fitted.best)
        head = learner.head()

    report.stage("evaluating")
    about = {"mode": params.mode, "classes": list(tree.classes), "prompts": prompts}
    publish(clip, head, about, artifacts / MODEL_ZIP)
    judged = _judged(artifacts / MODEL_ZIP, tree, params, report, device=device)
    suspects = _suspects(clip, seen, tree, params, report, device=device) if params.suspect_labels else None
    outcome = ClassifierEvaluation(
        title=f"clip: {params.model}, {params.mode}",
        facts=_facts(params, weights, prompts, tree, clip, fitted),
        classes=tree.classes,
        judged={split: one for split, (one, _) in judged.items()},
        speeds={split: speed for split, (_, speed) in judged.items()},
        openers={split: tree.splits[split].open for split in judged},
        history=read_results(fitted.results) if fitted else (),
        best_epoch=fitted.best_epoch if fitted else None,
        suspects=suspects,
    )
    write_outcome(outcome, artifacts, check=report.raise_if_cancelled)
    if fitted:
        shutil.copyfile(fitted.results, artifacts / RESULTS)
    return TrainedModel(
        weights=MODEL_ZIP,
        classes=tree.classes,
        input_size=input_side(clip.processor),
        ended=fitted.ended if fitted else "completed",
        epochs_done=fitted.epochs_done if fitted else 0,
        best_epoch=fitted.best_epoch if fitted else None,
        versions=VERSIONS,
        facts={
            "mode": params.mode,
            "prompts": {name: list(texts) for name, texts in prompts.items()},
            "device": str(device),
            "started_from": {"model": params.model, "sha256": clip.digest},
            "frozen_layers": learner.frozen if isinstance(learner, Tower) else None,
            "lr": pace_of_run(params).lr if learner else None,
        },
    )


def pace_of_run(params: ClipParams) -> Pace:
    usual = PACES[params.mode]
    return Pace(params.epochs or usual.epochs, params.lr or usual.lr)


def _learner(
    clip: Clip,
    embedded: torch.Tensor,
    seen: Seen,
    tree: Tree,
    params: ClipParams,
    work: Path,
    *,
    device: torch.device,
) -> Probe | Tower | None:
    if params.mode == "zero-shot":
        return None
    if params.mode == "linear-probe":
        return Probe(seen, tree, params, kept=work / FEATURES)
    return Tower(clip, embedded, tree, params, device=device)


def _judged(
    model: Path, tree: Tree, params: ClipParams, report: Reporter, *, device: torch.device
) -> dict[str, tuple[Judged, dict[str, float]]]:
    """What is published, on val and test. Raises WeightsUnavailable where it gives no numbers."""
    classifier, processor, classes = read_published(model)
    judged = {
        split: judge(classifier, processor, tree.splits[split], classes, report, batch=2 * params.batch, device=device)
        for split in HELD_OUT_SPLITS
        if split in tree.splits
    }
    if not all(np.isfinite(one.probabilities).all() for one, _ in judged.values()):
        raise WeightsUnavailable("The image tower gives no numbers: the weights are damaged.", model=params.model)
    return judged


def _suspects(
    clip: Clip, seen: Seen, tree: Tree, params: ClipParams, report: Reporter, *, device: torch.device
) -> Suspected:
    """By the image tower as it was before this run: one that has learnt has learnt the wrong labels too."""
    if params.mode == "fine-tune":
        seen = Seen(read_clip(clip.folder), tree, batch=2 * params.batch, device=device)
    features = torch.cat([seen.of(split, report.raise_if_cancelled) for split in tree.splits]).numpy()
    return suspected_labels(tree, features, report, described="pretrained image tower of CLIP", seed=params.seed)


def _facts(
    params: ClipParams,
    weights: Path,
    prompts: Mapping[str, Sequence[str]],
    tree: Tree,
    clip: Clip,
    fitted: Fitted | None,
) -> dict[str, Cell]:
    first = next(iter(prompts.values()))
    facts: dict[str, Cell] = {
        "Model": params.model,
        "Mode": params.mode,
        "Started from": f"the weights {weights.name}, sha256 {clip.digest[:12]}",
        "Prompts": f"{sum(map(len, prompts.values()))} in all, such as “{first[0]}”",
        "Input": f"{input_side(clip.processor)} x {input_side(clip.processor)} px",
    }
    if fitted is None:
        return facts | {"Training": "none"}
    return facts | {
        "Epochs": f"{fitted.epochs_done} of {pace_of_run(params).epochs}, {fitted.ended}",
        "Best epoch": f"{fitted.best_epoch}, by {params.best_by} on val",
        "Training images": len(tree.splits["train"]),
        "Seed": params.seed,
    }
