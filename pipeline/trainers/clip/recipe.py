"""A clip run from top to bottom: data, prompts, fit unless zero-shot, publish, evaluate, label errors, report."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import set_seed

from core.domain.errors import WeightsUnavailable
from pipeline.dataset.model import HELD_OUT_SPLITS
from pipeline.evaluation.classification import write_evaluation
from pipeline.evaluation.classifier_evaluation import ClassifierEvaluation, LabelErrorSearch
from pipeline.evaluation.report import Cell
from pipeline.evaluation.split_predictions import SplitPredictions
from pipeline.params.clip import ClipParams
from pipeline.trainers import Checkpoint, ModelSource, Reporter, TrainedModel
from pipeline.trainers.classifier.data import Tree, open_tree
from pipeline.trainers.classifier.label_errors import search_by_descriptors, search_label_errors
from pipeline.trainers.classifier.model_zip import MODEL_ZIP, unpacked
from pipeline.trainers.classifier.predict_split import predict_split
from pipeline.trainers.classifier.results import FittedClassifier
from pipeline.trainers.classifier.tensors import input_side
from pipeline.trainers.clip.fit import Schedule, fit_clip, load_trained
from pipeline.trainers.clip.learners import FEATURES, FineTune, ImageFeatures, LinearProbe
from pipeline.trainers.clip.models import VERSIONS, Clip, prompt_head, publish_clip, read_clip, read_published_clip
from pipeline.trainers.clip.parent import PRETRAINED, TRAINED, ParentHead, read_parent
from pipeline.trainers.clip.prompts import embed_prompts, prompts_of
from pipeline.trainers.device import visible_device
from pipeline.trainers.results import RESULTS, read_results

# For AdamW. 1e-5 is that of CLIP's fine-tuning recipes; a head on standardised features converges in tens of epochs.
SCHEDULES = {"linear-probe": Schedule(epochs=100, lr=1e-3), "fine-tune": Schedule(epochs=10, lr=1e-5)}


def train(
    dataset: Path,
    params: ClipParams,
    out: Path,
    report: Reporter,
    *,
    model: ModelSource,
    resume: Checkpoint | None,
    work: Path,
) -> TrainedModel:
    """See `pipeline.trainers.Trainer`. `model`: weights. `work`: an empty folder.

    Raises ParamsInvalid for prompts of unknown classes.
    """
    artifacts = out / "artifacts"
    artifacts.mkdir(parents=True, exist_ok=True)
    device = visible_device(params.device)
    tree = open_tree(dataset)
    prompts = prompts_of(tree.classes, params)
    set_seed(params.seed)
    model = unpacked(model, work / "parent")
    parent = read_parent(Path(model.path_or_name), model.parent) if model.parent else None
    if parent and resume is None:
        report.note("head", parent.note(tree.classes, mode=params.mode))
    clip = read_clip(Path(model.path_or_name))
    clip.model.to(device)
    embedded = embed_prompts(clip.model, clip.tokenizer, prompts, report)
    features = ImageFeatures(clip, tree, batch=2 * params.batch, device=device)
    learner = _learner(clip, embedded, features, tree, params, work, parent=parent, device=device)

    fitted, head = None, prompt_head(clip.model, embedded)
    if learner is not None:
        fitted = fit_clip(learner, tree, params, schedule_of(params), work, report, weights=clip.digest, resume=resume)
        learner.prepare(report.raise_if_cancelled)  # not done yet where only the evaluation was left
        load_trained(learner, fitted.best)
        head = learner.head()

    report.stage("evaluating")
    is_trained = params.mode == "fine-tune" or (parent is not None and parent.is_trained)
    tower = TRAINED if is_trained else PRETRAINED
    about = {"mode": params.mode, "tower": tower, "classes": list(tree.classes), "prompts": prompts}
    publish_clip(clip, head, about, artifacts / MODEL_ZIP)
    predictions = _predictions(artifacts / MODEL_ZIP, tree, params, report, device=device)
    label_errors = (
        _label_errors(clip, features, tree, params, report, parent=parent, device=device)
        if params.suspect_labels
        else None
    )
    evaluation = ClassifierEvaluation(
        title=f"clip: {params.model}, {params.mode}",
        facts=_facts(params, model, prompts, tree, clip, fitted),
        classes=tree.classes,
        predictions={split: one for split, (one, _) in predictions.items()},
        speeds={split: speed for split, (_, speed) in predictions.items()},
        openers={split: tree.splits[split].open for split in predictions},
        history=read_results(fitted.results) if fitted else (),
        best_epoch=fitted.best_epoch if fitted else None,
        label_errors=label_errors,
    )
    write_evaluation(evaluation, artifacts, raise_if_cancelled=report.raise_if_cancelled)
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
            "frozen_layers": learner.frozen if isinstance(learner, FineTune) else None,
            "lr": schedule_of(params).lr if learner else None,
        },
    )


def schedule_of(params: ClipParams) -> Schedule:
    """The schedule of the mode, with what the params set."""
    default = SCHEDULES[params.mode]
    return Schedule(params.epochs or default.epochs, params.lr or default.lr)


def _learner(
    clip: Clip,
    embedded: torch.Tensor,
    features: ImageFeatures,
    tree: Tree,
    params: ClipParams,
    work: Path,
    *,
    parent: ParentHead | None,
    device: torch.device,
) -> LinearProbe | FineTune | None:
    if params.mode == "zero-shot":
        return None
    if params.mode == "linear-probe":
        start = parent.rows_for(tree.classes) if parent else None
        return LinearProbe(features, tree, params, cache=work / FEATURES, start=start)
    return FineTune(clip, embedded, tree, params, device=device)


def _predictions(
    model: Path, tree: Tree, params: ClipParams, report: Reporter, *, device: torch.device
) -> dict[str, tuple[SplitPredictions, dict[str, float]]]:
    """Predictions of the published model on val and test. Raises WeightsUnavailable where they are not finite."""
    classifier, processor, classes = read_published_clip(model)
    predictions = {
        split: predict_split(
            classifier, processor, tree.splits[split], classes, report, batch=2 * params.batch, device=device
        )
        for split in HELD_OUT_SPLITS
        if split in tree.splits
    }
    if not all(np.isfinite(one.probabilities).all() for one, _ in predictions.values()):
        raise WeightsUnavailable(
            "The embeddings of the image tower are not finite: the weights are damaged.", model=params.model
        )
    return predictions


def _label_errors(
    clip: Clip,
    features: ImageFeatures,
    tree: Tree,
    params: ClipParams,
    report: Reporter,
    *,
    parent: ParentHead | None,
    device: torch.device,
) -> LabelErrorSearch:
    """By the pretrained image tower: a trained one, of this run or of a parent, has learnt the wrong labels too."""
    if parent and parent.is_trained:
        return search_by_descriptors(tree, report, seed=params.seed)
    if params.mode == "fine-tune":
        features = ImageFeatures(read_clip(clip.folder), tree, batch=2 * params.batch, device=device)
    rows = torch.cat([features.of(split, report.raise_if_cancelled) for split in tree.splits]).numpy()
    return search_label_errors(tree, rows, report, described="pretrained image tower of CLIP", seed=params.seed)


def _facts(
    params: ClipParams,
    model: ModelSource,
    prompts: Mapping[str, Sequence[str]],
    tree: Tree,
    clip: Clip,
    fitted: FittedClassifier | None,
) -> dict[str, Cell]:
    first = next(iter(prompts.values()))
    facts: dict[str, Cell] = {
        "Model": params.model,
        "Mode": params.mode,
        "Started from": f"{model.parent or f'the weights {clip.folder.name}'}, sha256 {clip.digest[:12]}",
        "Prompts": f"{sum(map(len, prompts.values()))}, such as “{first[0]}”",
        "Input": f"{input_side(clip.processor)} x {input_side(clip.processor)} px",
    }
    if fitted is None:
        return facts | {"Training": "none"}
    return facts | {
        "Epochs": f"{fitted.epochs_done} of {schedule_of(params).epochs}, {fitted.ended}",
        "Best epoch": f"{fitted.best_epoch}, by {params.best_by} on val",
        "Training images": len(tree.splits["train"]),
        "Seed": params.seed,
    }
