"""The files beside an ONNX model that say what it lacks: names of classes, preprocessing, or a whole description."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pipeline.predictor.metadata import Preprocessing
from pipeline.trainers.image_processor import ProcessorUnsupported, preprocessing_of
from pipeline.trainers.model_refusal import Reason, checked_classes, refused

LABELS_TEXT, LABELS_JSON, CONFIG = "labels.txt", "labels.json", "config.json"
PROCESSOR, DESCRIPTION = "preprocessor_config.json", "darkroom.json"
_PLACEHOLDER = re.compile(r"LABEL_\d+")  # what transformers writes for classes without names
_PROCESSOR_NEEDS = ("do_resize", "size", "resample", "do_rescale", "rescale_factor", "do_normalize")


def classes_beside(folder: Path) -> tuple[tuple[str, ...], str] | None:
    """The names and the file that has them; None without one. Raises ModelRefused, also where two files differ."""
    readers = {LABELS_TEXT: _of_text, LABELS_JSON: _of_json, CONFIG: _of_config}
    found = {name: read(folder / name) for name, read in readers.items() if (folder / name).is_file()}
    named = {name: checked_classes(names, name) for name, names in found.items() if names is not None}
    if not named:
        return None
    first, *others = named
    if other := next((name for name in others if named[name] != named[first]), None):
        raise refused(Reason(other, f"It names other classes than {first}: leave one of them out."))
    return named[first], first


def preprocessing_beside(folder: Path) -> Preprocessing | None:
    """By the file of an image processor; None without one. Raises ModelRefused where it cannot be followed exactly."""
    if not (folder / PROCESSOR).is_file():
        return None
    values = read_object(folder / PROCESSOR)
    needed = (*_PROCESSOR_NEEDS, *(("image_mean", "image_std") if values.get("do_normalize") else ()))
    if missing := [name for name in needed if values.get(name) is None]:
        raise refused(Reason(PROCESSOR, f"It does not say {', '.join(missing)}: save it with a current transformers."))
    try:
        return preprocessing_of(SimpleNamespace(**values))
    except ProcessorUnsupported as error:
        raise refused(Reason(PROCESSOR, str(error))) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise refused(Reason(PROCESSOR, f"Its values cannot be read: {type(error).__name__}: {error}.")) from error


def read_object(path: Path) -> dict[str, Any]:
    """Raises ModelRefused for anything but a JSON object."""
    content = _read_json(path)
    if not isinstance(content, dict):
        raise refused(Reason(path.name, "It is not a JSON object."))
    return content


def _of_text(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except ValueError as error:
        raise refused(Reason(path.name, "It is not UTF-8 text: one name of a class a line.")) from error
    return [line.strip() for line in "\n".join(lines).rstrip().splitlines()]


def _of_json(path: Path) -> list[Any]:
    content = _read_json(path)
    if isinstance(content, list):
        return content
    if isinstance(content, dict):
        return _numbered(content, path.name)
    raise refused(Reason(path.name, 'It is neither a list of names nor {"0": name, ...}.'))


def _of_config(path: Path) -> list[Any] | None:
    labels = read_object(path).get("id2label")
    if labels is None:
        return None
    names = _numbered(labels if isinstance(labels, dict) else {}, path.name)
    if all(isinstance(name, str) and _PLACEHOLDER.fullmatch(name) for name in names):
        raise refused(Reason(path.name, f"id2label has placeholders ({names[0]}), not the names of the classes."))
    return names


def _numbered(labels: dict[str, Any], path: str) -> list[Any]:
    wanted = [str(number) for number in range(len(labels))]
    if not labels or set(labels) != set(wanted):
        raise refused(Reason(path, "It does not number the classes 0, 1, 2, ..."))
    return [labels[number] for number in wanted]


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise refused(Reason(path.name, f"It is not JSON: {str(error)[:200]}.")) from error
