"""A vit run from top to bottom: data, model, fit, publish, evaluate, search for wrong labels, report."""

import shutil
from pathlib import Path
from typing import Any

from torch import nn
from transformers import AutoImageProcessor, set_seed

from core.domain.errors import WeightsUnavailable
from pipeline.dataset.model import HELD_OUT_SPLITS
from pipeline.evaluation.classification import write_evaluation
from pipeline.evaluation.classifier_evaluation import ClassifierEvaluation
from pipeline.params.vit import SCRATCH_NAMES, VitParams
from pipeline.trainers import Checkpoint, ModelSource, Reporter, TrainedModel
from pipeline.trainers.classifier.data import Tree, open_tree
from pipeline.trainers.classifier.model_zip import MODEL_ZIP, unpacked
from pipeline.trainers.classifier.predict_split import predict_split
from pipeline.trainers.classifier.tensors import input_side
from pipeline.trainers.device import visible_device
from pipeline.trainers.head import head_note
from pipeline.trainers.results import RESULTS, read_results
from pipeline.trainers.vit.fit import fit_vit
from pipeline.trainers.vit.label_errors import find_label_errors
from pipeline.trainers.vit.models import (
    VERSIONS,
    build_classifier,
    classes_in,
    freeze,
    load_model,
    publish_vit,
    read_published_vit,
)

LR_FROM_WEIGHTS, LR_FROM_SCRATCH = 5e-5, 1e-3  # of AdamW; the first is that of the ViT fine-tuning recipes


def train(
    dataset: Path,
    params: VitParams,
    out: Path,
    report: Reporter,
    *,
    model: ModelSource,
    resume: Checkpoint | None,
    work: Path,
) -> TrainedModel:
    """See `pipeline.trainers.Trainer`. `work`: an empty folder."""
    artifacts = out / "artifacts"
    artifacts.mkdir(parents=True, exist_ok=True)
    _check_source(model, params, report)
    model = unpacked(model, work / "parent")
    device = visible_device(params.device)
    tree = open_tree(dataset)
    set_seed(params.seed)
    network, processor = _model(tree, params, model, resume)
    if model.parent and resume is None:
        report.note("head", head_note(classes_in(Path(model.path_or_name)), tree.classes))
    frozen = freeze(network, params.freeze_layers)
    lr = params.lr or (LR_FROM_WEIGHTS if model.kind == "weights" else LR_FROM_SCRATCH)

    fitted = fit_vit(tree, network, processor, params, work, report, lr=lr, resume=resume)

    report.stage("evaluating")
    publish_vit(fitted.best, network, processor, artifacts / MODEL_ZIP)
    published, processor, _ = read_published_vit(artifacts / MODEL_ZIP)
    splits = {split: tree.splits[split] for split in HELD_OUT_SPLITS if split in tree.splits}
    predictions = {
        split: predict_split(published, processor, images, tree.classes, report, batch=2 * params.batch, device=device)
        for split, images in splits.items()
    }
    label_errors = find_label_errors(tree, model, params, report, device=device) if params.suspect_labels else None
    evaluation = ClassifierEvaluation(
        title=f"vit: {params.model}",
        facts={
            "Model": params.model,
            "Started from": _started_from(model),
            "Frozen layers": frozen,
            "Input": f"{input_side(processor)} x {input_side(processor)} px",
            "Epochs": f"{fitted.epochs_done} of {params.epochs}, {fitted.ended}",
            "Best epoch": f"{fitted.best_epoch}, by {params.best_by} on val",
            "Training images": len(tree.splits["train"]),
            "Seed": params.seed,
        },
        classes=tree.classes,
        predictions={split: one for split, (one, _) in predictions.items()},
        speeds={split: speed for split, (_, speed) in predictions.items()},
        openers={split: images.open for split, images in splits.items()},
        history=read_results(fitted.results),
        best_epoch=fitted.best_epoch,
        label_errors=label_errors,
    )
    write_evaluation(evaluation, artifacts, raise_if_cancelled=report.raise_if_cancelled)
    shutil.copyfile(fitted.results, artifacts / RESULTS)
    return TrainedModel(
        weights=MODEL_ZIP,
        classes=tree.classes,
        input_size=input_side(processor),
        ended=fitted.ended,
        epochs_done=fitted.epochs_done,
        best_epoch=fitted.best_epoch,
        versions=VERSIONS,
        facts={"device": str(device), "frozen_layers": frozen, "lr": lr},
    )


def _check_source(model: ModelSource, params: VitParams, report: Reporter) -> None:
    """Raises WeightsUnavailable for missing weights that are required."""
    if model.kind == "weights":
        return
    if params.pretrained == "required":
        raise WeightsUnavailable(f"No pretrained weights were found for {params.model}.", model=params.model)
    if params.pretrained == "auto" and params.model not in SCRATCH_NAMES:
        report.note("weights", "trained from scratch: no pretrained weights were found")


def _model(tree: Tree, params: VitParams, source: ModelSource, resume: Checkpoint | None) -> tuple[nn.Module, Any]:
    """A resumed run takes all from its checkpoint: the weights folder may have changed since its start."""
    if resume is None:
        return build_classifier(source, tree.classes, params.image_size)
    return load_model(resume.path), AutoImageProcessor.from_pretrained(str(resume.path), local_files_only=True)


def _started_from(model: ModelSource) -> str:
    if model.kind == "config":
        return "scratch"
    return model.parent or f"the weights {Path(model.path_or_name).name}"
