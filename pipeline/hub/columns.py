"""Finds the image column and the label column of a table, and the class names of the labels."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from core.domain.errors import HubSetUnusable

IMAGE_NAMES = ("image", "img", "picture", "photo")
LABEL_NAMES = ("label", "labels", "class", "class_name", "category", "target")
_MAX_LISTED = 20  # columns in a message

Names = Mapping[str, Sequence[str]]


class Columns:
    """`names`: class names by number; None where the labels are class names."""

    def __init__(self, image: str, label: str, names: Sequence[str] | None) -> None:
        self.image = image
        self.label = label
        self.names = names

    def class_of(self, value: Any) -> str | None:
        """None for a row without a label. Raises HubSetUnusable for a number without a name."""
        if value is None or (self.names is not None and value == -1):  # -1: how the hub marks an unlabelled row
            return None
        if self.names is None:
            return str(value)
        if not isinstance(value, int) or not 0 <= value < len(self.names):
            raise HubSetUnusable(f"A label is {value!r:.80}, but the dataset has {len(self.names)} class names.")
        return self.names[value]


def columns_of(schema: pa.Schema, card: Names, *, image: str | None, label: str | None) -> Columns:
    """By the features that `datasets` wrote into the table, by types, and by names. Raises HubSetUnusable.

    `card`: class names by column, for tables that lack them. `image`, `label`: the requested columns.
    """
    features = features_of(schema)
    names = {**card, **{name: found for name in features if (found := class_names(features[name]))}}
    labels = [field.name for field in schema if _is_label(field, names)]
    if label is not None and label in schema.names and label not in labels:
        labels += [label] if is_text(schema.field(label).type) else []
    chosen_image = image_column(schema, image)
    chosen_label = _one(labels, label, LABEL_NAMES, "labels with class names", schema)
    names_are_texts = is_text(schema.field(chosen_label).type)
    return Columns(chosen_image, chosen_label, None if names_are_texts else names[chosen_label])


def image_column(schema: pa.Schema, requested: str | None = None) -> str:
    """Raises HubSetUnusable where there is none, or none of several is named as usual."""
    features = features_of(schema)
    images = [field.name for field in schema if _is_image(field, features.get(field.name))]
    return _one(images, requested, IMAGE_NAMES, "images", schema)


def _one(found: list[str], requested: str | None, usual: Sequence[str], what: str, schema: pa.Schema) -> str:
    columns = schema.names[:_MAX_LISTED]
    if requested is not None:
        if requested not in found:
            raise HubSetUnusable(f"The column {requested} has no {what}.", columns=columns)
        return requested
    if not found:
        raise HubSetUnusable(
            f"The dataset has no column of {what}; its columns are {', '.join(columns)}.", columns=columns
        )
    likely = [name for name in usual if name in found]
    if len(found) > 1 and not likely:
        raise HubSetUnusable(
            f"The dataset has several columns of {what}: {', '.join(found)}. Name one of them.", columns=found
        )
    return likely[0] if likely else found[0]


def features_of(schema: pa.Schema) -> dict[str, Any]:
    """The features that the library `datasets` keeps as JSON in the metadata of the table."""
    stored = (schema.metadata or {}).get(b"huggingface")
    try:
        features = json.loads(stored)["info"]["features"] if stored else {}
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def _is_image(field: pa.Field, feature: Any) -> bool:
    if isinstance(feature, dict) and feature.get("_type") not in (None, "Image", "Value"):
        return False
    if pa.types.is_struct(field.type):
        at = field.type.get_field_index("bytes")
        return at >= 0 and _is_binary(field.type.field(at).type)
    return _is_binary(field.type) and (field.name in IMAGE_NAMES or _type_of(feature) == "Image")


def _is_label(field: pa.Field, names: Names) -> bool:
    if is_text(field.type):
        return field.name in LABEL_NAMES
    return bool(pa.types.is_integer(field.type)) and field.name in names


def class_names(feature: Any) -> list[str] | None:
    names = feature.get("names") if _type_of(feature) == "ClassLabel" else None
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None


def _type_of(feature: Any) -> Any:
    return feature.get("_type") if isinstance(feature, dict) else None


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
