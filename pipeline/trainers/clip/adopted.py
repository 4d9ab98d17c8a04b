"""A CLIP model that was trained elsewhere, as this trainer publishes its own: with a head for the classes.

A model that this trainer published has its head. Any other classifies by the names of the classes of a dataset.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors.torch import load_file
from transformers import AutoConfig, CLIPModel

from pipeline.params.clip import ClipParams, Prompts
from pipeline.trainers import AdoptedModel, Reporter
from pipeline.trainers.classifier.adopted import count_finite, require_processor, require_size, try_classifier
from pipeline.trainers.classifier.model_zip import MODEL_ZIP
from pipeline.trainers.clip.models import (
    ABOUT,
    CONFIGS,
    HEAD,
    VERSIONS,
    WEIGHTS,
    Clip,
    prompt_head,
    publish_clip,
    read_clip,
    read_published_clip,
)
from pipeline.trainers.clip.prompts import embed_prompts, prompts_of
from pipeline.trainers.model_refusal import Reason, checked_classes, refused

_CONFIG, _PROCESSOR = CONFIGS
_MODES = ("zero-shot", "linear-probe", "fine-tune")
_PROMPTS: TypeAdapter[Any] = TypeAdapter(Prompts)


def adopt_clip(folder: Path, artifacts: Path, report: Reporter, *, classes: Sequence[str] | None) -> AdoptedModel:
    """Raises ModelRefused, WeightsUnavailable; any other exception means that a file is broken."""
    stored = count_finite(folder / WEIGHTS)
    config = AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):  # without memory for its weights
        require_size(sum(parameter.numel() for parameter in CLIPModel(config).parameters()), stored, _CONFIG)
    clip = read_clip(folder)
    side = require_processor(clip.processor, _PROCESSOR)
    if (folder / HEAD).is_file():
        about, head = _published_head(folder, clip)
    else:
        about, head = _zero_shot_head(clip, classes, report)
    publish_clip(clip, head, about, artifacts / MODEL_ZIP)
    network, processor, names = read_published_clip(artifacts / MODEL_ZIP)
    try_classifier(network, processor, len(names), WEIGHTS)
    return AdoptedModel(
        weights=MODEL_ZIP,
        kind="classification",
        classes=names,
        input_size=side,
        versions=VERSIONS,
        facts={
            "architecture": "clip",
            "parameters": sum(parameter.numel() for parameter in clip.model.parameters()),
            "mode": about["mode"],
            "prompts": about["prompts"],
        },
    )


def _published_head(folder: Path, clip: Clip) -> tuple[dict[str, Any], Mapping[str, torch.Tensor]]:
    count_finite(folder / HEAD)
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        names = checked_classes(about["classes"], ABOUT)
        prompts = _PROMPTS.validate_python(about["prompts"])
        mode = about["mode"]
    except (OSError, KeyError, TypeError, ValidationError) as error:
        raise refused(Reason(ABOUT, "It does not describe the head: classes, prompts and mode are needed.")) from error
    head = load_file(folder / HEAD)
    width = clip.model.config.projection_dim
    shapes = {name: tuple(value.shape) for name, value in head.items()}
    if mode not in _MODES or shapes != {"weight": (len(names), width), "bias": (len(names),)}:
        raise refused(Reason(HEAD, f"It does not hold a row of {width} numbers for each of {len(names)} classes."))
    about = {"mode": mode, "classes": list(names), "prompts": {name: list(texts) for name, texts in prompts.items()}}
    return about, {name: value.to(torch.float32) for name, value in head.items()}


def _zero_shot_head(
    clip: Clip, classes: Sequence[str] | None, report: Reporter
) -> tuple[dict[str, Any], Mapping[str, torch.Tensor]]:
    if not classes:
        detail = "A CLIP model has no classes of its own: name a dataset, whose classes it then has."
        raise refused(Reason(_CONFIG, detail))
    prompts = {name: list(texts) for name, texts in prompts_of(classes, ClipParams()).items()}
    embedded = embed_prompts(clip.model, clip.tokenizer, prompts, report)
    about = {"mode": "zero-shot", "classes": list(classes), "prompts": prompts}
    return about, prompt_head(clip.model, embedded)
