"""An image classifier that was trained elsewhere, as this trainer publishes its own: loaded, tried, written anew."""

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification

from pipeline.trainers import AdoptedModel
from pipeline.trainers.classifier.adopted import (
    count_finite,
    require_all,
    require_processor,
    require_size,
    try_classifier,
)
from pipeline.trainers.classifier.model_zip import MODEL_ZIP
from pipeline.trainers.model_refusal import Reason, checked_classes, refused
from pipeline.trainers.vit.models import CONFIG, PROCESSOR, VERSIONS, WEIGHTS, publish_vit, read_published_vit

_PLACEHOLDER = re.compile(r"LABEL_\d+")  # what transformers writes for classes without names
_ONE_OF_MANY = (None, "single_label_classification")


def adopt_vit(folder: Path, artifacts: Path) -> AdoptedModel:
    """Raises ModelRefused, WeightsUnavailable; any other exception means that a file is broken."""
    described = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    classes = _classes(described)
    if described.get("problem_type") not in _ONE_OF_MANY:
        detail = f"problem_type is {described['problem_type']}: only one class for each image is supported."
        raise refused(Reason(CONFIG, detail))
    stored = count_finite(folder / WEIGHTS)
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    config = AutoConfig.from_pretrained(str(folder), **local)
    with torch.device("meta"):  # without memory for its weights
        outline = AutoModelForImageClassification.from_config(config, trust_remote_code=False)
    require_size(sum(parameter.numel() for parameter in outline.parameters()), stored, CONFIG)
    model, info = AutoModelForImageClassification.from_pretrained(
        str(folder),
        use_safetensors=True,
        dtype=torch.float32,
        ignore_mismatched_sizes=True,  # they are in the info, by name and shapes
        output_loading_info=True,
        **local,
    )
    notes = require_all(info, WEIGHTS)
    processor = AutoImageProcessor.from_pretrained(str(folder), **local)
    side = require_processor(processor, PROCESSOR)
    _publish(model, processor, artifacts / MODEL_ZIP)
    network, published, _ = read_published_vit(artifacts / MODEL_ZIP)
    try_classifier(network, published, len(classes), CONFIG)
    return AdoptedModel(
        weights=MODEL_ZIP,
        kind="classification",
        classes=classes,
        input_size=side,
        versions=VERSIONS,
        facts={"architecture": str(config.model_type), "parameters": sum(p.numel() for p in network.parameters())},
        notes=notes,
    )


def _classes(config: Mapping[str, Any]) -> tuple[str, ...]:
    """By the numbers of `id2label`. Raises ModelRefused."""
    labels = config.get("id2label")
    wanted = [str(number) for number in range(len(labels))] if isinstance(labels, dict) else []
    if not isinstance(labels, dict) or not labels or set(labels) != set(wanted):
        raise refused(Reason(CONFIG, "id2label is missing, or does not number the classes 0, 1, 2, ..."))
    names = [labels[number] for number in wanted]
    if all(isinstance(name, str) and _PLACEHOLDER.fullmatch(name) for name in names):
        raise refused(Reason(CONFIG, f"id2label has placeholders ({names[0]}), not the names of the classes."))
    return checked_classes(names, CONFIG)


def _publish(model: Any, processor: Any, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="darkroom-vit-") as name:
        folder = Path(name)
        model.save_pretrained(folder, safe_serialization=True, max_shard_size="100GB")
        publish_vit(folder / WEIGHTS, model, processor, target)
