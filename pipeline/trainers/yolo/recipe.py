"""A yolo run from top to bottom: weights, data, fit, publish, evaluate, draw."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from core.domain.errors import ParamsInvalid, WeightsUnavailable
from pipeline.dataset.model import HELD_OUT_SPLITS
from pipeline.evaluation.detection_report import write_detection_report
from pipeline.evaluation.thresholds import Thresholds, choose_thresholds, with_thresholds
from pipeline.json_file import write_json
from pipeline.layouts.yolo import tree_stems
from pipeline.params.yolo import YoloParams
from pipeline.plots import draw_split, draw_training
from pipeline.trainers import Checkpoint, ModelSource, Reporter, TrainedModel
from pipeline.trainers.device import choose_device
from pipeline.trainers.head import head_note
from pipeline.trainers.image_check import manifest_paths
from pipeline.trainers.results import RESULTS, read_results
from pipeline.trainers.yolo.evaluation import DetectorEvaluation, evaluate_split
from pipeline.trainers.yolo.fit import FittedDetector, fit_yolo
from pipeline.trainers.yolo.vendor import VERSIONS
from pipeline.trainers.yolo.weights import class_names, is_rtdetr, model_in, publish_weights, read_weights


def train(
    dataset: Path,
    params: YoloParams,
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
    rtdetr = _check_source(model, params, report) if resume is None else _was_rtdetr(resume)
    data, names = _absolute_data(dataset, work)
    if model.parent and resume is None:
        _note_parent(model, params, names, report)
    stated = _stated_images(dataset)
    device = choose_device(params.device, mps=False)

    fitted = fit_yolo(
        data, params, work, report, model=model, resume=resume, stated=stated, is_rtdetr=rtdetr, device=device
    )

    report.stage("evaluating")
    best = read_weights(fitted.best)
    publish_weights(best, artifacts / "best.pt", input_size=params.imgsz)
    evaluations = {
        split: evaluate_split(
            artifacts / "best.pt",
            data,
            report,
            split=split,
            stated=stated.get(split),
            imgsz=params.imgsz,
            batch=fitted.batch * 2,  # without gradients twice the batch fits, as in ultralytics
            device=device,
            workers=params.workers,
            work=work,
            is_rtdetr=rtdetr,
        )
        for split in HELD_OUT_SPLITS
        if _has_images(dataset, split)
    }
    _note_unmeasured(evaluations, report)
    metrics = _metrics(evaluations, names, thresholds=None)
    write_json(artifacts / "metrics.json", metrics)
    write_json(artifacts / "curves.json", _by_split(evaluations, "curves"), indent=None)
    shutil.copyfile(fitted.results, artifacts / RESULTS)
    _write_relative_data(dataset, names, artifacts / "data.yaml")
    _draw(metrics, evaluations, fitted, artifacts, report, best_epoch=best["epoch"] + 1)
    write_detection_report(
        artifacts,
        title=f"yolo: {params.model}",
        facts={
            "Model": params.model,
            "Input": f"{params.imgsz} x {params.imgsz} px",
            "Epochs": f"{fitted.epochs_done} of {params.epochs}, {fitted.ended}",
            "Best epoch": best["epoch"] + 1,
            "Batch": fitted.batch,
            "Seed": params.seed,
        },
        metrics=metrics,
    )
    if fitted.batch != params.batch:
        report.note("batch", f"A batch of {params.batch} did not fit into memory: trained with {fitted.batch}.")
    return TrainedModel(
        weights="best.pt",
        classes=tuple(names),
        input_size=params.imgsz,
        ended=fitted.ended,
        epochs_done=fitted.epochs_done,
        best_epoch=best["epoch"] + 1,
        versions=VERSIONS,
        facts={"device": device, "batch": fitted.batch},
    )


def evaluate(
    weights: Path,
    dataset: Path,
    out: Path,
    report: Reporter,
    *,
    splits: Sequence[str],
    batch: int,
    device: str,
    work: Path,
    thresholds: Thresholds | None,
) -> None:
    """See `pipeline.trainers.Trainer`. `work`: an empty folder. `thresholds`: those of the model; None: val chooses."""
    report.stage("loading")
    model = model_in(read_weights(weights))
    for split in splits:
        if not _has_images(dataset, split):
            raise ParamsInvalid(f"The dataset has no {split} split.", split=split)
    data, names = _absolute_data(dataset, work)
    known = class_names(model)
    if known != names:  # in the same order: ultralytics compares class ids
        raise ParamsInvalid(
            f"The model was trained on the classes {', '.join(known)}; the dataset has {', '.join(names)}."
        )
    imgsz = int(model.args["imgsz"])
    report.stage("evaluating")
    stated = _stated_images(dataset)
    evaluations = {
        split: evaluate_split(
            weights,
            data,
            report,
            split=split,
            stated=stated.get(split),
            imgsz=imgsz,
            batch=batch,
            device=choose_device(device, mps=False),
            workers=0,
            work=work,
            is_rtdetr=is_rtdetr(model),
        )
        for split in splits
    }
    metrics = _metrics(evaluations, names, thresholds=thresholds)
    write_json(out / "metrics.json", metrics)
    write_json(out / "curves.json", _by_split(evaluations, "curves"), indent=None)
    _draw_splits(metrics, evaluations, out, report)
    write_detection_report(
        out,
        title=f"yolo: {weights.name}",
        facts={"Split": ", ".join(splits), "Input": f"{imgsz} x {imgsz} px"},
        metrics=metrics,
    )


def _note_unmeasured(evaluations: Mapping[str, DetectorEvaluation], report: Reporter) -> None:
    for split, evaluation in evaluations.items():
        if not evaluation.metrics["boxes"]:
            report.note(split, f"no image of {split} has a box: nothing was measured on it")


def _check_source(model: ModelSource, params: YoloParams, report: Reporter) -> bool:
    """Whether the model is an RT-DETR. Raises WeightsUnavailable for missing or unusable weights."""
    if model.kind == "weights":
        return is_rtdetr(model_in(read_weights(Path(model.path_or_name))))
    if params.pretrained == "required" or params.model.endswith(".pt"):
        raise WeightsUnavailable(f"No pretrained weights were found for {params.model}.", model=params.model)
    if params.pretrained == "auto":
        report.note("weights", "trained from scratch: no pretrained weights were found")
    return "rtdetr" in model.path_or_name


def _note_parent(source: ModelSource, params: YoloParams, names: list[str], report: Reporter) -> None:
    parent = model_in(read_weights(Path(source.path_or_name)))
    report.note("head", head_note(class_names(parent), names))
    side = parent.args.get("imgsz") if isinstance(parent.args, dict) else None
    if side not in (None, params.imgsz):
        report.note("input", f"trained at {params.imgsz} px, and {source.parent} at {side} px")


def _was_rtdetr(resume: Checkpoint) -> bool:
    return is_rtdetr(model_in(read_weights(resume.path / "last.pt")))


def _absolute_data(dataset: Path, work: Path) -> tuple[Path, list[str]]:
    """A data.yaml with absolute paths, written anew because ultralytics runs its `download:`, and the class names."""
    names = _class_names(dataset)
    splits = {split: f"images/{split}" for split in ("train", *HELD_OUT_SPLITS) if _has_images(dataset, split)}
    path = work / "data.yaml"
    content = {"path": str(dataset.resolve()), **splits, "names": dict(enumerate(names))}
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path, names


def _stated_images(dataset: Path) -> dict[str, dict[str, str]]:
    """For each split of the manifest: the stem of an image in the tree -> its path in the archive."""
    paths = manifest_paths(dataset)
    stems = tree_stems([path for each in paths.values() for path in each])
    return {split: {stems[path]: path for path in each} for split, each in paths.items()}


def _class_names(dataset: Path) -> list[str]:
    """In the order of their ids; data.yaml has them as a list or as {id: name}."""
    names = yaml.safe_load((dataset / "data.yaml").read_text(encoding="utf-8"))["names"]
    return [str(name) for _, name in sorted(names.items())] if isinstance(names, Mapping) else [str(n) for n in names]


def _has_images(dataset: Path, split: str) -> bool:
    folder = dataset / "images" / split
    return folder.is_dir() and any(path.is_file() for path in folder.rglob("*"))


def _write_relative_data(dataset: Path, names: list[str], path: Path) -> None:
    splits = {split: f"images/{split}" for split in ("train", *HELD_OUT_SPLITS) if _has_images(dataset, split)}
    content = {**splits, "names": dict(enumerate(names))}
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _metrics(
    evaluations: Mapping[str, DetectorEvaluation], names: list[str], *, thresholds: Thresholds | None
) -> dict[str, Any]:
    """As in metrics.json."""
    matched = {split: evaluation.matched for split, evaluation in evaluations.items()}
    chosen = thresholds or choose_thresholds(matched.get("val"), names, kind="detection")
    return with_thresholds(_by_split(evaluations, "metrics"), matched, chosen)


def _by_split(evaluations: Mapping[str, DetectorEvaluation], name: str) -> dict[str, Any]:
    """With null for a split without images."""
    splits = dict.fromkeys((*HELD_OUT_SPLITS, *evaluations))
    return {split: getattr(evaluations[split], name) if split in evaluations else None for split in splits}


def _draw(
    metrics: Mapping[str, Any],
    evaluations: Mapping[str, DetectorEvaluation],
    fitted: FittedDetector,
    artifacts: Path,
    report: Reporter,
    *,
    best_epoch: int,
) -> None:
    draw_training(read_results(fitted.results), artifacts / "training_curves.png", best_epoch=best_epoch)
    _draw_splits(metrics, evaluations, artifacts, report)


def _draw_splits(
    metrics: Mapping[str, Any], evaluations: Mapping[str, DetectorEvaluation], artifacts: Path, report: Reporter
) -> None:
    thresholds = metrics["thresholds"]["classes"]
    for split, evaluation in evaluations.items():
        report.raise_if_cancelled()
        drawn: dict[str, Any] = {"curves": evaluation.curves, "samples": evaluation.samples, "thresholds": thresholds}
        draw_split(artifacts, split, metrics=metrics[split], **drawn)
