"""Features that have seen no label of this set, for the search for wrong ones."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoImageProcessor, AutoModel

from pipeline.evaluation.classification import Labelled, Suspected
from pipeline.evaluation.descriptors import LENGTH, describe_picture
from pipeline.evaluation.descriptors import SIDE as DESCRIPTOR_SIDE
from pipeline.evaluation.suspects import out_of_fold, rank_suspects
from pipeline.params.vit import VitParams
from pipeline.trainers import ModelSource, Report
from pipeline.trainers.classified import Pictures, Tree


def judge_labels(
    tree: Tree, source: ModelSource, params: VitParams, report: Report, *, device: torch.device
) -> Suspected:
    """All pictures of all splits, ranked. With pretrained weights these see the pictures, else plain descriptors do:
    the trained model cannot, it has learnt the wrong labels too."""
    pictures = list(tree.splits.values())
    if source.kind == "weights":
        features = _backbone_features(
            pictures, Path(source.path_or_name), report, batch=2 * params.batch, device=device
        )
    else:
        features = _descriptors(pictures, report)
    labels = [label for split in pictures for label in split.labels]
    digests = [digest for split in pictures for digest in split.digests]
    probabilities = out_of_fold(features, labels, digests, len(tree.classes), seed=params.seed, check=report.check)
    return Suspected(
        labelled=tuple(
            Labelled(split, index, path) for split, one in tree.splits.items() for index, path in enumerate(one.paths)
        ),
        ranked=tuple(rank_suspects(labels, probabilities)),
        accuracy=float((probabilities.argmax(axis=1) == np.asarray(labels)).mean()),
        features="pretrained backbone" if source.kind == "weights" else "gradients and colours",
        openers={split: one.open for split, one in tree.splits.items()},
    )


def _descriptors(splits: list[Pictures], report: Report) -> Any:
    features = np.empty((sum(map(len, splits)), LENGTH), dtype=np.float32)
    for row, (pictures, index) in enumerate(_each(splits)):
        if row % 16 == 0:
            report.check()
        features[row] = describe_picture(pictures.open_small(index, DESCRIPTOR_SIDE))
    return features


def _backbone_features(
    splits: list[Pictures], weights: Path, report: Report, *, batch: int, device: torch.device
) -> Any:
    """The mean over places of the last layer, as the weights were before this training."""
    backbone = AutoModel.from_pretrained(
        str(weights), use_safetensors=True, trust_remote_code=False, local_files_only=True, dtype=torch.float32
    )
    backbone = backbone.to(device).eval()
    processor = AutoImageProcessor.from_pretrained(str(weights), local_files_only=True, trust_remote_code=False)
    rows = list(_each(splits))
    features = []
    for start in range(0, len(rows), batch):
        report.check()
        images = [pictures.open(index) for pictures, index in rows[start : start + batch]]
        with torch.inference_mode():
            pixels = processor(images, return_tensors="pt")["pixel_values"].to(device)
            last = backbone(pixel_values=pixels).last_hidden_state
        places = last.flatten(2).transpose(1, 2) if last.ndim == 4 else last  # (B, C, H, W) of convolutions
        features.append(places.mean(dim=1).float().cpu().numpy())
    return np.concatenate(features)


def _each(splits: list[Pictures]) -> Iterator[tuple[Pictures, int]]:
    return ((pictures, index) for pictures in splits for index in range(len(pictures)))
