"""The model card of a bundle: README.md in the form of the Hugging Face hub, for people and for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.bundle.card_figures import certificate_text, figures_text, headline, per_class_text
from pipeline.bundle.card_limits import limits_of
from pipeline.bundle.licences import Licence, base_model, licences_of
from pipeline.bundle.markdown import code, facts, items, literal
from pipeline.predictor.metadata import ExportMetadata, Output
from pipeline.process.results import BundledFile

_TASKS = {"detection": "object-detection", "classification": "image-classification"}
_LIBRARIES = {"yolo": "ultralytics", "vit": "transformers", "clip": "transformers"}
_HUB_METRICS = {
    "detection": {"mAP50": "mAP50", "mAP50-95": "mAP50-95", "precision": "precision", "recall": "recall", "f1": "f1"},
    "classification": {"accuracy": "accuracy", "f1": "f1", "precision": "precision", "recall": "recall"},
}
CLASSES_NAMED = 60
# The plots and images of a card, of the split whose figures it gives, in their order; those that the version has.
IMAGES = {
    "{split}_predictions.png": "Images of {split}: ground truth left, predicted right",
    "{split}_confusion_matrix.png": "Confusion matrix on {split}",
    "{split}_curves.png": "Precision and recall on {split}",
    "{split}_f1_by_confidence.png": "F1 by confidence on {split}",
    "{split}_reliability.png": "Confidence against accuracy on {split}",
    "{split}_worst.png": "Images of {split} with the least probable ground truth",
    "training_curves.png": "Training",
}


@dataclass(frozen=True, slots=True)
class CardFacts:
    """`version`: as in BundleSpec. `model`, `metrics`, `certificate`, `dataset`: the JSON files of the bundle."""

    version: Mapping[str, Any]
    model: Mapping[str, Any]
    metrics: Mapping[str, Any]
    certificate: Mapping[str, Any]
    dataset: Mapping[str, Any] | None
    metadata: ExportMetadata
    weights: BundledFile
    export: BundledFile


def images_in(folder: Path, metrics: Mapping[str, Any]) -> dict[str, str]:
    """File name -> caption."""
    split = split_of(metrics) or "test"
    named = {name.format(split=split): caption.format(split=split) for name, caption in IMAGES.items()}
    return {name: caption for name, caption in named.items() if (folder / name).is_file()}


def split_of(metrics: Mapping[str, Any]) -> str | None:
    """The split whose figures stand for the model: nothing was chosen by test; small datasets have none."""
    return next((split for split in ("test", "val") if metrics.get(split)), None)


def model_card(given: CardFacts, images: Mapping[str, str]) -> str:
    licences = licences_of(given.version, parent=_parent(given.version), images=bool(images))
    sections = {
        "": _summary(given),
        "Use": _use(given),
        "Figures": _figures(given),
        "The file against the model": certificate_text(given.certificate),
        "Limits": items(
            limits_of(given.metadata, given.metrics, given.dataset, given.version, split_of(given.metrics))
        ),
        "Plots and images": "\n\n".join(
            f"![{caption}](images/{name})\n\n{caption}." for name, caption in images.items()
        ),
        "Provenance": _provenance(given),
        "Licences": licence_text(licences),
    }
    body = [f"## {title}\n\n{text}" if title else text for title, text in sections.items() if text]
    head = f"---\n{front_matter(given, licences[0])}---\n\n# {literal(given.version['name'])}"
    return "\n\n".join([head, *body]) + "\n"


def front_matter(given: CardFacts, licence: Licence) -> str:
    """YAML, as https://huggingface.co/docs/hub/model-cards describes it."""
    trainer, kind = str(given.version["trainer"]), given.metadata.kind
    base, hub = base_model(given.version), (given.version.get("dataset") or {}).get("huggingface")
    content: dict[str, Any] = {
        "license": licence.id,
        "library_name": _LIBRARIES.get(trainer, trainer),
        "pipeline_tag": _TASKS[kind],
        "tags": list(dict.fromkeys(["darkroom", "onnx", trainer])),
    }
    if base and "/" in base:
        content["base_model"] = base
    if hub:
        content["datasets"] = [hub]
    if (split := split_of(given.metrics)) is not None:
        content["model-index"] = [{"name": _plain_name(given), "results": [_result(given, split, hub)]}]
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)


def licence_text(licences: Sequence[Licence]) -> str:
    return items(f"{each.part}: **{each.name}**. {each.detail}" for each in licences)


def _result(given: CardFacts, split: str, hub: str | None) -> dict[str, Any]:
    measured = given.metrics[split]
    name = (given.version.get("evaluated_on") or {}).get("name") or "not named"
    return {
        "task": {"type": _TASKS[given.metadata.kind]},
        "dataset": {"type": hub or name, "name": name, "split": split},
        "metrics": [
            {"type": name, "value": measured[key], "name": f"{name} on {split}"}
            for key, name in _HUB_METRICS[given.metadata.kind].items()
            if isinstance(measured.get(key), int | float)
        ],
    }


def _plain_name(given: CardFacts) -> str:
    return str(given.version["name"]).replace("/", "-")


def _summary(given: CardFacts) -> str:
    classes = given.metadata.classes
    finds = "finds objects and their boxes" if given.metadata.kind == "detection" else "names the class of an image"
    named = ", ".join(literal(name) for name in classes[:CLASSES_NAMED])
    more = f" and {len(classes) - CLASSES_NAMED} more, in `labels.json`" if len(classes) > CLASSES_NAMED else ""
    one = "1 class" if len(classes) == 1 else f"{len(classes)} classes"
    made = "uploaded to" if given.version["origin"] == "imported" else "trained with"
    text = f"A model that {finds}; {made} Darkroom ([provenance](#provenance)). It knows {one}: {named}{more}."
    figures = headline(given.metrics, split_of(given.metrics))
    return f"{text}\n\n{figures}" if figures else text


def _use(given: CardFacts) -> str:
    wanted, output = given.metadata.preprocessing, given.metadata.output
    answer = (
        f"Boxes are in pixels of the upright image. By default those with a confidence above {_threshold(output)} are "
        "listed; `--confidence` is another threshold for one call."
        if given.metadata.kind == "detection"
        else "The most probable classes are listed, with probabilities that sum to 1 over all classes."
    )
    return (
        "```bash\npip install -r requirements.txt        # onnxruntime, numpy, pillow; Python 3.11 or later\n"
        "python predict.py image.jpg --out drawn.png\npython predict.py *.jpg --json > found.jsonl\n```\n\n"
        f"{answer} The answers are those of the service, whose code is in `darkroom_predictor/`. In a program:\n\n"
        "```python\nfrom pathlib import Path\n\nfrom darkroom_predictor import ExportPredictor\n\n"
        'model = ExportPredictor(Path("model.onnx"))\nprint(model.predict([Path("image.jpg").read_bytes()]))\n```\n\n'
        f"`model.onnx` runs in any ONNX runtime too. Its input is (batch, 3, {wanted.height}, {wanted.width}), RGB, "
        "in single precision; `preprocessing.json` says how it is made and what the output means."
    )


def _threshold(output: Output) -> str:
    if not output.thresholds:
        return f"{output.min_score:g}"
    low, high = f"{min(output.thresholds):.2f}", f"{max(output.thresholds):.2f}"
    return low if low == high else f"the threshold of their class ({low} to {high})"


def _figures(given: CardFacts) -> str:
    if split_of(given.metrics) is None:
        return "The model was not evaluated: nothing is known about how well it answers."
    trained_here = given.version["origin"] == "run"
    return "\n\n".join(
        filter(None, [figures_text(given.metrics, trained_here=trained_here), per_class_text(given.metrics)])
    )


def _provenance(given: CardFacts) -> str:
    version, dataset = given.version, given.version.get("dataset") or {}
    evaluated_on = version.get("evaluated_on")
    libraries = {**(given.model.get("versions") or {}), "darkroom": version.get("darkroom")}
    source = given.model.get("source") or {}
    rows = [
        ("Version", f"{literal(version['name'])}, {code(version['version_id'])}"),
        ("Published", literal(version["created_at"])),
        ("Origin", "trained here" if version["origin"] == "run" else f"uploaded as {literal(source.get('name', '?'))}"),
        ("Trainer", literal(version["trainer"])),
        ("Started from", _parent(version) or _start(version)),
        ("Dataset", _dataset(dataset)),
        ("Evaluated on", _dataset(evaluated_on) if evaluated_on and not dataset else None),
        ("Fingerprint of the dataset", code(version["fingerprint"]) if version["fingerprint"] else "not known"),
        ("Epochs", _epochs(given.model)),
        (f"sha256 of {literal(given.weights.name)}", code(given.weights.sha256)),
        ("sha256 of model.onnx", code(given.export.sha256)),
        ("Libraries", literal(", ".join(f"{name} {value}" for name, value in sorted(libraries.items()) if value))),
    ]
    return (
        f"{facts(rows)}\n\n`model.json` has the parameters of the training where they are known, and `manifest.json` "
        "the sha256 of every file; `python -m pipeline verify` of Darkroom, or `sha256sum -c SHA256SUMS`, checks them."
    )


def _parent(version: Mapping[str, Any]) -> str | None:
    parent = version.get("parent")
    return literal(parent["name"]) if parent else None


def _start(version: Mapping[str, Any]) -> str | None:
    note = (version.get("notes") or {}).get("weights")
    return literal(str(note).removeprefix("started from ")) if note else None


def _dataset(dataset: Mapping[str, Any]) -> str:
    if not dataset:
        return "not known"
    source = f", from {literal(dataset['source_name'])}" if dataset.get("source_name") else ""
    return f"{literal(dataset['name'])}{source}"


def _epochs(model: Mapping[str, Any]) -> str | None:
    done, best = model.get("epochs_done"), model.get("best_epoch")
    if not done:
        return None
    return f"{done}, of which the model of epoch {best} was kept" if best else str(done)
