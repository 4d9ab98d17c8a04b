"""The files of a transformers model, out of a hostile ZIP: few, known by name, their JSON without anything that runs.

What is not on the list is never unpacked: pickles, Python files, exports for other frameworks.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from core.domain.limits import MIB
from pipeline.archive.disk_space import require_space
from pipeline.archive.entry_names import base_of, suffix_of
from pipeline.archive.inflate import inflate
from pipeline.archive.plural import counted
from pipeline.archive.zip_directory import BrokenArchive, ZipEntry
from pipeline.model_import.contents import CONFIG, Contents
from pipeline.trainers.model_refusal import Reason, refused

WEIGHTS = "model.safetensors"
_REQUIRED = (CONFIG, "preprocessor_config.json", WEIGHTS)
_VOCABULARIES = ("tokenizer.json", "vocab.json", "merges.txt")
_OPTIONAL = ("tokenizer_config.json", "special_tokens_map.json", "darkroom.json")
_DESCRIPTIONS = (CONFIG, "preprocessor_config.json", *_OPTIONAL)
_FILES = frozenset({*_DESCRIPTIONS, *_VOCABULARIES, WEIGHTS, "head.safetensors"})
MAX_JSON_BYTES = 4 * MIB  # of a description; id2label of 10,000 classes has 0.5
MAX_VOCABULARY_BYTES = 32 * MIB  # CLIP's tokenizer.json has 2
_MAX_DEPTH = 16
_MAX_FAULTS = 20  # of a description: a refusal lists no more
MAX_NUMBER = 1_000_000  # in config.json: the largest are sizes of vocabularies, 50,000
MAX_LAYERS = 512

# The image classifiers of transformers that are a network alone: without other models, downloads or extra packages.
CLASSIFIERS = frozenset(
    {"beit", "bit", "convnext", "convnextv2", "cvt", "data2vec-vision", "deit", "dinov2", "dinov2_with_registers"}
    | {"efficientnet", "focalnet", "hiera", "ijepa", "levit", "mobilenet_v1", "mobilenet_v2", "mobilevit"}
    | {"mobilevitv2", "poolformer", "pvt", "pvt_v2", "regnet", "resnet", "swiftformer", "swin", "swinv2", "vit"}
    | {"vit_msn"}
)
CLIP = "clip"
# A value of these would run code of the archive or of a hub, or load what is not in the archive.
_RUNNING = frozenset({"auto_map", "custom_pipelines", "trust_remote_code"})
_QUANTIZED = "quantization_config"


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """The trainer that the model is for, and the names of files that were left in the ZIP."""

    trainer: str
    left_out: tuple[str, ...]


def unpack_model(source: Path, contents: Contents, folder: Path) -> ModelFolder:
    """Unpack the files of a model into `folder`, and read what describes it. Raises ModelRefused, OutOfSpace."""
    files = [entry for entry in contents.entries if not entry.is_folder and entry.name.startswith(contents.folder)]
    inside = {entry.name.removeprefix(contents.folder): entry for entry in files}
    wanted = {name: entry for name, entry in inside.items() if name in _FILES}
    _require_files(wanted, inside)
    require_space(folder, sum(entry.size for entry in wanted.values()))
    inflate_as_named(source, wanted, folder)
    described = {name: _read_json(folder / name) for name in _DESCRIPTIONS if name in wanted}
    reasons = [reason for name, content in described.items() for reason in islice(_faults(name, content), _MAX_FAULTS)]
    if reasons:
        raise refused(*reasons)
    trainer = _trainer(described)
    _write_plain_config(described[CONFIG], folder / CONFIG)
    return ModelFolder(trainer, tuple(sorted(set(inside) - set(wanted))))


def _require_files(wanted: Mapping[str, ZipEntry], inside: Mapping[str, ZipEntry]) -> None:
    reasons = [Reason(name, _missing(name, inside)) for name in _REQUIRED if name not in wanted]
    for name, entry in wanted.items():
        most = MAX_JSON_BYTES if name in _DESCRIPTIONS else MAX_VOCABULARY_BYTES
        if suffix_of(name) != ".safetensors" and entry.size > most:
            reasons.append(Reason(name, f"It has {entry.size} bytes; at most {most} are accepted."))
    if reasons:
        raise refused(*reasons)


def _missing(name: str, inside: Mapping[str, ZipEntry]) -> str:
    if name != WEIGHTS:
        return "The file is missing: save the model and its image processor with save_pretrained."
    if parts := sorted(each for each in inside if suffix_of(each) == ".safetensors"):
        return f"The weights are in {base_of(parts[0])}: save them as one file (max_shard_size) of this name."
    if pickles := sorted(each for each in inside if suffix_of(each) in (".bin", ".pt", ".pth", ".ckpt", ".pkl")):
        detail = f"The weights are a pickle ({pickles[0]}), which can run code: save them with safe_serialization=True."
        return detail
    return "The file is missing: save the model with save_pretrained."


def inflate_as_named(source: Path, wanted: Mapping[str, ZipEntry], folder: Path) -> None:
    """By names of our own list: none of the archive's becomes a path."""
    with source.open("rb") as file:
        for name, entry in wanted.items():
            target = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                inflate(file, entry, target, 0, hashed=False)
            except BrokenArchive as error:
                raise refused(Reason(name, error.finding.detail)) from error
            finally:
                os.close(target)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise refused(Reason(path.name, f"It is not JSON: {str(error)[:200]}.")) from error
    if not isinstance(content, dict):
        raise refused(Reason(path.name, "It is not a JSON object."))
    return content


def _faults(name: str, content: dict[str, Any]) -> Iterator[Reason]:
    for depth, key, value in _values(content):
        if depth > _MAX_DEPTH:
            yield Reason(name, f"It is nested deeper than {_MAX_DEPTH} levels.")
            return
        if key in _RUNNING and value:
            yield Reason(name, f"{key} names code, which is never run: only models of transformers are accepted.")
        if key == _QUANTIZED and value:
            yield Reason(name, f"{key}: save the model in single precision, without quantisation.")
        if isinstance(value, int | float) and not _is_usual(key, value):
            yield Reason(name, f"{key} is {str(value)[:40]}, which no supported model has.")


def _values(content: Any, depth: int = 0, key: str = "") -> Iterator[tuple[int, str, Any]]:
    """Each value with its depth and the key it is under, down to one level beyond what is accepted."""
    yield depth, key, content
    if depth > _MAX_DEPTH:
        return
    if isinstance(content, dict):
        for name, value in content.items():
            yield from _values(value, depth + 1, str(name))
    elif isinstance(content, list):
        for value in content:
            yield from _values(value, depth + 1, key)


def _is_usual(key: str, value: float) -> bool:
    most = MAX_LAYERS if "layers" in key or "depth" in key else MAX_NUMBER
    return math.isfinite(value) and abs(value) <= most


def _trainer(described: Mapping[str, dict[str, Any]]) -> str:
    """By `model_type`. Raises ModelRefused for a model of another kind, which it names."""
    config = described[CONFIG]
    kind = config.get("model_type")
    if kind in CLASSIFIERS:
        return "vit"
    if kind == CLIP:
        return CLIP
    architectures = config.get("architectures")
    named = f" ({str(architectures[0])[:80]})" if isinstance(architectures, list) and architectures else ""
    detail = f"model_type is {str(kind)[:80]}{named}: an image classifier or a CLIP model is expected. Supported are "
    raise refused(Reason(CONFIG, f"{detail}{', '.join(sorted(CLASSIFIERS))} and clip."))


def _write_plain_config(config: Mapping[str, Any], path: Path) -> None:
    """Without what belongs to a machine or a load: private keys, types, implementations of attention."""
    dropped = ("torch_dtype", "dtype", "attn_implementation", "transformers_version")
    kept = {key: value for key, value in config.items() if not key.startswith("_") and key not in dropped}
    path.write_text(json.dumps(kept), encoding="utf-8")


def left_out_note(names: tuple[str, ...]) -> str:
    more = ", ..." if len(names) > 5 else ""
    return f"{counted(len(names), 'file')} of the ZIP not used: {', '.join(names[:5])}{more}"
