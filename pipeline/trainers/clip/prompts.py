"""What is said of each class, and where that lies among the images."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn.functional import normalize

from core.domain.errors import WeightsUnavailable
from pipeline.params.catalogue import fit_classes
from pipeline.params.clip import ClipParams
from pipeline.trainers import Reporter


def prompts_of(classes: Sequence[str], params: ClipParams) -> dict[str, tuple[str, ...]]:
    """Every class with its sentences. Raises ParamsInvalid for prompts of a class that the dataset does not have."""
    fit_classes(params, classes)
    return {
        name: params.prompts.get(name) or tuple(template.replace("{}", spoken(name)) for template in params.templates)
        for name in classes
    }


def spoken(name: str) -> str:
    """`using_laptop` as people say it."""
    return " ".join(name.replace("_", " ").split())


def embed_prompts(model: Any, tokenizer: Any, prompts: Mapping[str, Sequence[str]], report: Reporter) -> torch.Tensor:
    """(classes, width), rows of length 1: the mean of the embeddings of each class's sentences (CLIP 2021, 3.1.4).

    A sentence longer than the model's context is cut. Raises WeightsUnavailable where no numbers come out.
    """
    device, longest = model.device, model.config.text_config.max_position_embeddings
    rows = []
    for sentences in prompts.values():
        report.raise_if_cancelled()
        tokens = tokenizer(list(sentences), padding=True, truncation=True, max_length=longest, return_tensors="pt")
        with torch.inference_mode():
            features = model.get_text_features(
                input_ids=tokens["input_ids"].to(device), attention_mask=tokens["attention_mask"].to(device)
            ).pooler_output
        rows.append(normalize(normalize(features.float(), dim=-1).mean(dim=0), dim=0))
    embedded = torch.stack(rows).clone()  # out of inference mode: it takes part in a training
    if not torch.isfinite(embedded).all():
        raise WeightsUnavailable("The text tower gives no numbers: the weights are damaged.")
    return embedded
