"""Features that were made without the labels of the dataset, for the search for wrong ones."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoImageProcessor, AutoModel

from pipeline.evaluation.classifier_evaluation import LabelErrorSearch
from pipeline.params.vit import VitParams
from pipeline.trainers import ModelSource, Reporter
from pipeline.trainers.classifier.data import Tree
from pipeline.trainers.classifier.label_errors import each_image, search_by_descriptors, search_label_errors


def find_label_errors(
    tree: Tree, source: ModelSource, params: VitParams, report: Reporter, *, device: torch.device
) -> LabelErrorSearch:
    """Ranks the images of all splits, by the pretrained backbone as it was before this training, else by descriptors.

    The trained model would not do: it has learnt the wrong labels too, as a parent may have.
    """
    if source.kind == "config" or source.parent:
        return search_by_descriptors(tree, report, seed=params.seed)
    weights = Path(source.path_or_name)
    features = _backbone_features(tree, weights, report, batch=2 * params.batch, device=device)
    described = "pretrained backbone"
    return search_label_errors(tree, features, report, described=described, seed=params.seed)


def _backbone_features(tree: Tree, weights: Path, report: Reporter, *, batch: int, device: torch.device) -> Any:
    """(N, width): the mean over positions of the last layer, with the weights from before this training."""
    backbone = AutoModel.from_pretrained(
        str(weights), use_safetensors=True, trust_remote_code=False, local_files_only=True, dtype=torch.float32
    )
    backbone = backbone.to(device).eval()
    processor = AutoImageProcessor.from_pretrained(str(weights), local_files_only=True, trust_remote_code=False)
    rows = list(each_image(tree))
    features = []
    for start in range(0, len(rows), batch):
        report.raise_if_cancelled()
        opened = [images.open(index) for images, index in rows[start : start + batch]]
        with torch.inference_mode():
            pixels = processor(opened, return_tensors="pt")["pixel_values"].to(device)
            last = backbone(pixel_values=pixels).last_hidden_state
        positions = last.flatten(2).transpose(1, 2) if last.ndim == 4 else last  # (B, C, H, W) of convolutions
        features.append(positions.mean(dim=1).float().cpu().numpy())
    return np.concatenate(features)
