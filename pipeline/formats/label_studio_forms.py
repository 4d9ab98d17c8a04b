"""The JSON exports of Label Studio: a list of tasks with annotations, or JSON-MIN, one flat record each."""

import re
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from pipeline.archive.entry_names import base_of
from pipeline.archive.extract import is_image
from pipeline.archive.source import SourceFile
from pipeline.archive.unread_images import unread_kind

LABELS = ("rectanglelabels", "polygonlabels", "ellipselabels", "brushlabels", "keypointlabels", "labels")
_TASK_KEYS = (b'"annotations"', b'"result"', b'"data"')
_MIN_KEYS = (b'"annotator"', b'"annotation_id"', b'"completion_id"')  # any of them
_REGION_KEYS = (*(f'"{name}"'.encode() for name in LABELS), b'"original_width"')
_CHOICE_KEYS = ("choice", "choices", "class", "label", "category")
_CHOICES = b'"choices"'
_IMAGE_KEYS = ("image", "img", "image_url", "url", "photo")
_UPLOAD = re.compile(r"^[0-9a-f]{8}-")  # put before the name of an uploaded file

Task = dict[str, Any]


def holds_regions(file: SourceFile) -> bool:
    """Whether it is an export of boxes or other regions; one of empty tasks alone is."""
    if not _is_list(file):
        return False
    regions = any(file.byte_range.contains(_REGION_KEYS))
    if all(file.byte_range.contains(_TASK_KEYS)):
        return regions or not any(file.byte_range.contains((_CHOICES,)))
    return regions and any(file.byte_range.contains(_MIN_KEYS))


def holds_choices(file: SourceFile) -> bool:
    """Whether it is an export of choices, and of no regions: the classes of whole images."""
    if not _is_list(file) or any(file.byte_range.contains(_REGION_KEYS)):
        return False
    if all(file.byte_range.contains(_TASK_KEYS)):
        return any(file.byte_range.contains((_CHOICES,)))
    names = tuple(f'"{key}"'.encode() for key in _CHOICE_KEYS)
    return any(file.byte_range.contains(_MIN_KEYS)) and any(file.byte_range.contains(names))


def task_of(record: Any) -> Task | None:
    """A task with `data` and `annotations`, also of a record of JSON-MIN. None for what is neither."""
    if not isinstance(record, dict):
        return None
    if "data" in record or "annotations" in record:
        return record if isinstance(record.get("data"), dict) else None
    regions = [each for value in record.values() if isinstance(value, list) for each in value if isinstance(each, dict)]
    result = [{**region, "type": "region", "value": region} for region in regions]
    choice = next((record[key] for key in _CHOICE_KEYS if isinstance(record.get(key), str | dict)), None)
    if choice is not None:
        result.append({"type": "choices", "value": choice if isinstance(choice, dict) else {"choices": [choice]}})
    data = {key: value for key, value in record.items() if isinstance(value, str) and value is not choice}
    return {"data": data, "annotations": [{"result": result}]}


def done_annotations(task: Task) -> list[dict[str, Any]]:
    """Those that were not skipped."""
    found = task.get("annotations")
    annotations = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    return [each for each in annotations if not each.get("was_cancelled")]


def image_name_of(data: dict[str, Any], names: set[str]) -> str:
    """The path of the image in an address, without what an upload put before its name; empty for none.

    `names`: file names of the images in the archive.
    """
    texts = [data[key] for key in (*_IMAGE_KEYS, *data) if isinstance(data.get(key), str)]
    for text in texts:
        parts = urlsplit(text.replace("\\", "/"))
        local = parse_qs(parts.query).get("d")  # /data/local-files/?d=images/1.jpg
        path = local[0] if local else unquote(parts.path)
        if is_image(path) or unread_kind(path):
            base = base_of(path)
            return base[9:] if _UPLOAD.match(base) and base not in names and base[9:] in names else path
    return ""


def _is_list(file: SourceFile) -> bool:
    return file.byte_range.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")
