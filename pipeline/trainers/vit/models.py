"""Image classifiers of transformers: built from a config or from weights, published, and read back."""

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors
import torch
import transformers
from torch import nn
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageClassification,
    ResNetConfig,
    ViTConfig,
    ViTImageProcessor,
)

from core.domain.errors import WeightsUnavailable
from pipeline.params.vit import SCRATCH_SIZE, VIT_NAME
from pipeline.trainers import ModelSource
from pipeline.trainers.classifier.model_zip import model_files, pack_model
from pipeline.trainers.classifier.tensors import input_side
from pipeline.trainers.vit.head import with_head_for

VERSIONS = {"transformers": transformers.__version__, "torch": torch.__version__}
WEIGHTS, CONFIG, PROCESSOR, ABOUT = "model.safetensors", "config.json", "preprocessor_config.json", "darkroom.json"

# hidden size, layers, heads: those of the published checkpoints of ViT and DeiT
_VITS = {
    "tiny": (192, 12, 3),
    "small": (384, 12, 6),
    "base": (768, 12, 12),
    "large": (1024, 24, 16),
    "huge": (1280, 32, 16),
}
_UNUSABLE = (OSError, ValueError, KeyError, RuntimeError, safetensors.SafetensorError)


def build_classifier(source: ModelSource, classes: Sequence[str], image_size: int | None) -> tuple[nn.Module, Any]:
    """A model with a head for `classes`, and its image processor. New weights depend on torch's seed.

    The head is new; of a parent, the rows of classes that both have are kept.

    Raises WeightsUnavailable for weights that cannot be read safely, and for a name without a known architecture.
    """
    if source.kind == "config":
        return _from_scratch(source.path_or_name, classes, image_size)
    read = _from_weights if source.parent is None else _from_parent
    try:
        return read(Path(source.path_or_name), classes, image_size)
    except _UNUSABLE as error:
        name = Path(source.path_or_name).name
        raise WeightsUnavailable(f"{name} cannot be used as an image classifier: {str(error)[:500]}") from error


def load_model(folder: Path) -> nn.Module:
    """The model with exactly the weights in `folder`.

    By `from_pretrained`, not `load_state_dict`: the file names the layers otherwise than the model does, and the
    latter skips unknown names (transformers 5.23, issue 43701).
    """
    model: nn.Module = AutoModelForImageClassification.from_pretrained(
        str(folder), use_safetensors=True, trust_remote_code=False, local_files_only=True
    )
    return model


def publish_vit(weights: Path, model: Any, processor: Any, target: Path) -> None:
    """Writes `weights` (a .safetensors of the architecture of `model`, byte for byte) with its configs as one ZIP."""
    with tempfile.TemporaryDirectory(prefix="darkroom-vit-") as name:
        folder = Path(name)
        vars(model.config).pop("use_cache", None)  # set by a training, and not by a resumed run that only evaluates
        model.config.save_pretrained(folder)
        processor.save_pretrained(folder)
        (folder / ABOUT).write_text(json.dumps({"schema": 1, "trainer": "vit"}) + "\n", encoding="utf-8")
        files = {each: folder / each for each in (CONFIG, PROCESSOR, ABOUT)}
        pack_model({**files, WEIGHTS: weights}, target)


def read_published_vit(model: Path) -> tuple[nn.Module, Any, tuple[str, ...]]:
    """Network, image processor, class names. `model`: see `model_files`. Raises WeightsUnavailable."""
    with tempfile.TemporaryDirectory(prefix="darkroom-vit-") as name:
        try:
            folder = model_files(model, Path(name))
            network = load_model(folder).eval()
            processor = AutoImageProcessor.from_pretrained(str(folder), local_files_only=True)
            return network, processor, _class_names(network.config)
        except _UNUSABLE as error:
            raise WeightsUnavailable(f"{model.name} is not a model of the vit trainer: {str(error)[:500]}") from error


def classes_in(folder: Path) -> tuple[str, ...]:
    """Those of the model in `folder`, in the order of its rows."""
    return _class_names(AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False))


def freeze(model: Any, layers: int) -> int:
    """Freezes the embeddings and the first `layers` layers. Returns the number of frozen layers.

    A layer is an element of the first list of modules: a block of a ViT, a stage of a Swin, ConvNeXt or ResNet.
    """
    if not layers:
        return 0
    backbone = model.base_model
    blocks = next((part for part in backbone.modules() if isinstance(part, nn.ModuleList) and len(part) > 1), None)
    frozen = list(blocks)[:layers] if blocks is not None else []
    early = [part for name, part in backbone.named_children() if re.search("embed|stem", name)]
    for part in (*early, *frozen):
        part.requires_grad_(False)
    return len(frozen)


def _class_names(config: Any) -> tuple[str, ...]:
    return tuple(str(config.id2label[index]) for index in range(config.num_labels))


def _from_scratch(name: str, classes: Sequence[str], image_size: int | None) -> tuple[nn.Module, Any]:
    config, side = _config(name, image_size)
    config.update(_labels(classes))
    processor = ViTImageProcessor(size={"height": side, "width": side})
    return AutoModelForImageClassification.from_config(config), processor


def _config(name: str, image_size: int | None) -> tuple[Any, int]:
    side = image_size or SCRATCH_SIZE
    match name:
        case "vit-nano-scratch":
            return _small_vit((32, 2, 2), side=side), side
        case "vit-mini-scratch":  # 0.2 million weights: tens of thousands of images a minute on two cores
            return _small_vit((64, 4, 4), side=side), side
        case "vit-tiny-scratch":
            return _small_vit((128, 6, 4), side=side), side
        case "vit-small-scratch":
            return _small_vit((192, 8, 6), side=side), side
        case "resnet-tiny-scratch":
            widths = [32, 64, 128, 256]
            return ResNetConfig(embedding_size=32, hidden_sizes=widths, depths=[1] * 4, layer_type="basic"), side
    named = VIT_NAME.search(name)
    if named is None:
        raise WeightsUnavailable(f"No weights were found for {name}, and no architecture is known by that name.")
    side = image_size or int(named["side"])
    return _vit_config(_VITS[named["size"]], patch=int(named["patch"]), side=side), side


def _small_vit(shape: tuple[int, int, int], *, side: int) -> ViTConfig:
    """A narrow ViT. Its initial weights depend on its width: with the usual 0.02 it learns nothing for epochs."""
    config = _vit_config(shape, patch=8, side=side)
    config.initializer_range = shape[0] ** -0.5  # LeCun's: the variance stays the same from layer to layer
    return config


def _vit_config(shape: tuple[int, int, int], *, patch: int, side: int) -> ViTConfig:
    hidden, layers, heads = shape
    return ViTConfig(
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
        patch_size=patch,
        image_size=side,
    )


def _from_weights(folder: Path, classes: Sequence[str], image_size: int | None) -> tuple[nn.Module, Any]:
    read: Any = AutoModelForImageClassification.from_pretrained(
        str(folder),
        **_labels(classes),
        ignore_mismatched_sizes=True,  # the head is new
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        dtype=torch.float32,
    )
    return _of_size(read, folder, image_size)


def _from_parent(folder: Path, classes: Sequence[str], image_size: int | None) -> tuple[nn.Module, Any]:
    model: Any = load_model(folder).float()
    with_head_for(model, _class_names(model.config), classes)
    model.config.update(_labels(classes))
    model.num_labels = len(classes)
    return _of_size(model, folder, image_size)


def _of_size(read: Any, folder: Path, image_size: int | None) -> tuple[nn.Module, Any]:
    """The model in `folder` and its processor, for another side of the input where one is wanted."""
    processor: Any = AutoImageProcessor.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    if image_size is None or image_size == input_side(processor):
        return read, processor
    for name in ("size", "crop_size"):
        if getattr(processor, name, None) is not None:
            setattr(processor, name, type(getattr(processor, name))(height=image_size, width=image_size))
    return _resized(read, image_size), processor


def _resized(model: Any, side: int) -> nn.Module:
    """The same weights for another input size: position embeddings are interpolated, as in ViT (2020, 3.2)."""
    if not hasattr(model.config, "image_size"):
        return model  # convolutions take any size
    config = type(model.config).from_dict({**model.config.to_dict(), "image_size": side})
    larger: Any = type(model)(config)
    wanted = larger.state_dict()
    state = {
        name: _interpolated(value, wanted[name].shape) if name.endswith("position_embeddings") else value
        for name, value in model.state_dict().items()
    }
    larger.load_state_dict(state)
    return larger


def _interpolated(positions: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """(1, extra + n x n, dim) -> (1, extra + m x m, dim); the extra ones (class token) stay."""
    old, new = int((positions.shape[1] - 1) ** 0.5), int((shape[1] - 1) ** 0.5)
    extra = positions.shape[1] - old * old
    grid = positions[:, extra:].reshape(1, old, old, -1).permute(0, 3, 1, 2)
    grown = nn.functional.interpolate(grid, size=(new, new), mode="bicubic", align_corners=False)
    return torch.cat((positions[:, :extra], grown.permute(0, 2, 3, 1).reshape(1, new * new, -1)), dim=1)


def _labels(classes: Sequence[str]) -> dict[str, Any]:
    names = dict(enumerate(classes))
    return {"num_labels": len(names), "id2label": names, "label2id": {name: index for index, name in names.items()}}
