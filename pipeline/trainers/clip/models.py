"""CLIP models of transformers: read, published, and read back as classifiers.

A published model is a complete CLIP model, which plain transformers reads, and a head: one row per class, computed from
the prompts or learnt. In every mode the logits of an image are its normalised embedding times that head.
"""

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import safetensors
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import normalize
from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer, CLIPModel

from core.domain.errors import WeightsUnavailable
from pipeline.trainers.classifier.model_zip import model_files, pack_model

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

VERSIONS = {"transformers": transformers.__version__, "torch": torch.__version__}
WEIGHTS, HEAD, ABOUT = "model.safetensors", "head.safetensors", "darkroom.json"
CONFIGS = ("config.json", "preprocessor_config.json")
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt")
TEXT_FILES = ("tokenizer.json", "vocab.json")  # at least one: without them transformers makes up a tokenizer

_UNUSABLE = (OSError, ValueError, KeyError, TypeError, RuntimeError, safetensors.SafetensorError)


@dataclass(frozen=True, slots=True)
class Clip:
    """`folder`: where it was read from. `digest`: the sha256 over the weights in it."""

    model: Any
    processor: Any
    tokenizer: Any
    folder: Path
    digest: str


class ClipClassifier(nn.Module):  # type: ignore[misc]
    """`weight` (classes, width), `bias` (classes): of normalised embeddings."""

    def __init__(self, model: Any, weight: torch.Tensor, bias: torch.Tensor) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, pixel_values: torch.Tensor) -> Any:
        return SimpleNamespace(logits=embed_images(self.model, pixel_values) @ self.weight.T + self.bias)


def embed_images(model: Any, pixel_values: torch.Tensor) -> torch.Tensor:
    """(N, width), rows of length 1, in single precision."""
    return normalize(model.get_image_features(pixel_values=pixel_values).pooler_output.float(), dim=-1)


def read_clip(folder: Path) -> Clip:
    """Raises WeightsUnavailable for anything but a complete CLIP model that can be read safely."""
    try:
        kind = AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False).model_type
        if kind != "clip":
            raise ValueError(f"its model_type is {kind}")
        if not any((folder / name).is_file() for name in TEXT_FILES):
            raise ValueError("its tokenizer is missing")
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
        processor = AutoImageProcessor.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
        return Clip(_read_model(folder), processor, tokenizer, folder, _digest(folder))
    except _UNUSABLE as error:
        raise WeightsUnavailable(f"{folder.name} cannot be used as a CLIP model: {str(error)[:500]}") from error


def prompt_head(model: Any, embedded: torch.Tensor) -> dict[str, torch.Tensor]:
    """The head that classifies by the prompts: their embeddings times the logit scale of the model."""
    scale = model.logit_scale.detach().exp().to("cpu", torch.float32)
    return {"weight": (embedded.cpu() * scale).contiguous(), "bias": torch.zeros(len(embedded))}


def publish_clip(clip: Clip, head: Mapping[str, torch.Tensor], about: Mapping[str, Any], target: Path) -> None:
    """Writes the model with its current weights, head and configs as one ZIP."""
    with tempfile.TemporaryDirectory(prefix="darkroom-clip-") as name:
        folder = Path(name)
        clip.model.to("cpu").save_pretrained(folder, safe_serialization=True, max_shard_size="100GB")
        clip.processor.save_pretrained(folder)
        save_file(dict(head), folder / HEAD, {"format": "pt"})
        content = {"schema": 1, "trainer": "clip", **about}
        (folder / ABOUT).write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")
        written = {each: folder / each for each in (*CONFIGS, WEIGHTS, HEAD, ABOUT)}
        copied = {each: clip.folder / each for each in TOKENIZER if (clip.folder / each).is_file()}
        pack_model({**written, **copied}, target)


def read_published_clip(model: Path) -> tuple[ClipClassifier, Any, tuple[str, ...]]:
    """Network, image processor, class names. `model`: see `model_files`. Raises WeightsUnavailable."""
    with tempfile.TemporaryDirectory(prefix="darkroom-clip-") as name:
        try:
            folder = model_files(model, Path(name))
            about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
            head = load_file(folder / HEAD)
            classifier = ClipClassifier(_read_model(folder), head["weight"], head["bias"]).eval()
            processor = AutoImageProcessor.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
            return classifier, processor, _names(about["classes"], head["weight"])
        except _UNUSABLE as error:
            raise WeightsUnavailable(f"{model.name} is not a model of the clip trainer: {str(error)[:500]}") from error


def _names(classes: Sequence[Any], weight: torch.Tensor) -> tuple[str, ...]:
    if len(classes) != len(weight):
        raise ValueError(f"{len(classes)} classes for a head of {len(weight)}")
    return tuple(str(name) for name in classes)


def _read_model(folder: Path) -> Any:
    """Raises ValueError for missing weights, which transformers would silently draw at random."""
    model, info = CLIPModel.from_pretrained(
        str(folder),
        use_safetensors=True,
        local_files_only=True,
        dtype=torch.float32,
        output_loading_info=True,
    )
    missing = sorted(info["missing_keys"])
    if missing:
        raise ValueError(f"{len(missing)} weights are missing, such as {missing[0]}")
    return model.eval()


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
