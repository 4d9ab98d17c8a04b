"""The prompts of each class and their embeddings, in the same space as those of the images."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn.functional import normalize

from core.domain.errors import WeightsUnavailable
from pipeline.params.catalogue import fit_classes
from pipeline.params.clip import ClipParams
from pipeline.trainers import Reporter


def prompts_of(classes: Sequence[str], params: ClipParams) -> dict[str, tuple[str, ...]]:
    """The sentences of each class. Raises ParamsInvalid for prompts of a class that the dataset does not have."""
    fit_classes(params, classes)
    return {
        name: params.prompts.get(name) or tuple(template.replace("{}", readable(name)) for template in params.templates)
        for name in classes
    }


def readable(name: str) -> str:
    """`using_laptop` -> `using laptop`."""
    return " ".join(name.replace("_", " ").split())


def embed_prompts(model: Any, tokenizer: Any, prompts: Mapping[str, Sequence[str]], report: Reporter) -> torch.Tensor:
    """(classes, width), rows of norm 1: the mean of the embeddings of the sentences of each class (CLIP 2021, 3.1.4).

    A sentence longer than the context of the model is cut. Raises WeightsUnavailable for embeddings with NaN.
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
    embedded = torch.stack(rows).clone()  # a tensor outside of inference mode can take part in a training
    if not torch.isfinite(embedded).all():
        raise WeightsUnavailable("The embeddings of the text tower are not finite: the weights are damaged.")
    return embedded
