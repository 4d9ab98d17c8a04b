"""The figures of a model card: on each split, per class, and of the certificate."""

from collections.abc import Mapping
from typing import Any

from pipeline.bundle.markdown import Cell, items, literal, table

SPLITS = ("test", "val")
MAX_CLASSES = 50
_ROWS = {
    "mAP50": "mAP at IoU 0.5",
    "mAP50-95": "mAP at IoU 0.5 to 0.95",
    "accuracy": "Accuracy",
    "top5": "Among the five most probable",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "log_loss": "Log loss",
    "min_score": "Confidence at the peak of smoothed F1",
    "images": "Images",
    "boxes": "Boxes",
}
_COLUMNS = {
    "mAP50": "AP50",
    "mAP50-95": "AP50-95",
    "threshold": "threshold",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "images": "images",
    "instances": "boxes",
}


def headline(metrics: Mapping[str, Any], split: str | None) -> str:
    """One sentence; empty for a model that was not evaluated."""
    if split is None:
        return ""
    measured = metrics[split]
    names = {"mAP50": "mAP50", "mAP50-95": "mAP50-95", "accuracy": "accuracy", "f1": "F1"}
    figures = [f"{name} **{measured[key]:.3f}**" for key, name in names.items() if isinstance(measured.get(key), float)]
    of = f"{measured['images']} images of {split}"
    return f"On {of}: {', '.join(figures)}." if figures else ""


def figures_text(metrics: Mapping[str, Any], *, trained_here: bool) -> str:
    splits = [split for split in SPLITS if metrics.get(split)]
    rows: list[list[Cell]] = [
        [name, *(metrics[split].get(key) for split in splits)]
        for key, name in _ROWS.items()
        if any(key in metrics[split] for split in splits)
    ]
    chosen = (
        "The model was chosen by its figures on val; test was used for the figures alone."
        if trained_here and len(splits) > 1
        else ""
    )
    return "\n\n".join(filter(None, [chosen, table(["", *splits], rows), _at_threshold(metrics, splits)]))


def _at_threshold(metrics: Mapping[str, Any], splits: list[str]) -> str:
    """The figures of an answer, where thresholds were chosen on val."""
    thresholds = _chosen_on_val(metrics)
    measured = {split: metrics[split]["at_threshold"] for split in splits if metrics[split].get("at_threshold")}
    if thresholds is None or not measured:
        return ""
    rows = [[name, *(row.get(name.lower()) for row in measured.values())] for name in ("Precision", "Recall", "F1")]
    text = (
        f"Of the predictions above the thresholds (the confidence of the best F1 on val: {thresholds['all']:.2f} for "
        "all, and one for each class):"
    )
    return f"{text}\n\n{table(['', *measured], rows)}"


def per_class_text(metrics: Mapping[str, Any]) -> str:
    """Of the split that stands for the model; of many classes the first."""
    split = next((split for split in SPLITS if metrics.get(split)), None)
    of_classes = metrics[split].get("per_class") if split else None
    if not of_classes:
        return ""
    first = {name: of_classes[name] for name in list(of_classes)[:MAX_CLASSES]}
    if thresholds := _chosen_on_val(metrics):
        first = {name: _above(row, thresholds["classes"].get(name)) for name, row in first.items()}
    columns = {key: name for key, name in _COLUMNS.items() if any(key in row for row in first.values())}
    rows = [[literal(name), *(row.get(key) for key in columns)] for name, row in first.items()]
    more = (
        f"\n\n{len(of_classes) - len(first)} more classes are in `metrics.json`."
        if len(of_classes) > len(first)
        else ""
    )
    return f"### Per class, on {split}\n\n{table(['class', *columns.values()], rows)}{more}"


def _chosen_on_val(metrics: Mapping[str, Any]) -> Mapping[str, Any] | None:
    thresholds: Mapping[str, Any] = metrics.get("thresholds") or {}
    return thresholds if thresholds.get("source") == "val" else None


def _above(row: Mapping[str, Any], threshold: float | None) -> dict[str, Any]:
    """With precision, recall and F1 above the threshold of the class."""
    return {**row, **(row.get("at_threshold") or {}), "threshold": threshold}


def certificate_text(certificate: Mapping[str, Any]) -> str:
    """What was compared when the ONNX file was made, and what came out."""
    predictions, times = certificate["predictions"], certificate["milliseconds"]
    lines = [
        f"{predictions['equal']} of {predictions['compared']} predictions are equal",
        *_change(certificate["figures"]),
        f"outputs for the same input differ by at most {certificate['outputs']['largest']}",
        f"{times['model']['p50']:.1f} ms an image before and {times['export']['p50']:.1f} ms after "
        f"({literal(certificate['engine'])}, threads: {certificate['threads']}, {literal(certificate['device'])})",
    ]
    made = " made on the spot, as no dataset was known" if certificate.get("split") == "synthetic" else ""
    head = (
        "`model.onnx` was run by the predictor of this bundle beside the model that it was made of, on "
        f"{certificate['images']} images{made}"
    )
    tail = (
        "These figures are for the comparison; those above are of the evaluation, which may have prepared the images "
        "otherwise. `certificate.json` has everything, with the bounds that had to be met."
    )
    return f"{head}:\n\n{items(lines)}\n\n{tail}"


def _change(figures: Mapping[str, Any] | None) -> list[str]:
    """None where the images have no truth."""
    if figures is None:
        return []
    return [
        f"{figures['name']} {figures['model']:.4f} before and {figures['export']:.4f} after "
        f"(change {figures['change']:+.4f}, 95 % interval {figures['low']:+.4f} to {figures['high']:+.4f})"
    ]
