"""Finds the columns of a table of a whole dataset: its images, and their boxes or their classes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from core.domain.errors import HubSetUnusable
from pipeline.hub.columns import Names, class_names, columns_of, features_of, image_column, is_text

_OBJECTS = ("objects", "annotations", "annotation", "labels", "faces")  # usual columns of boxes, the likeliest first
_BOXES = ("bbox", "bboxes")
_CLASSES = ("category", "categories", "category_id", "label", "labels", "class", "classes", "class_name", "class_id")
_CROWDS = ("iscrowd", "is_crowd", "crowd")
_DIFFICULT = "difficult"


class ObjectColumn(NamedTuple):
    """A list of objects for each row: lists in a struct, or with `is_list` a list of structs. Its fields by name.

    `label` None: the objects have no classes.
    """

    name: str
    is_list: bool
    box: str
    label: str | None
    difficult: str | None
    crowd: str | None


class DatasetColumns(NamedTuple):
    """`objects` None: the dataset is of classes of whole images, in `label`. `names`: of the classes, by number; None
    where they are texts, or have none. `path`, `size`: columns of these, where there are any.

    `is_export`: the table is of an export of a dataset, whose boxes are in pixels.
    """

    image: str
    label: str | None
    objects: ObjectColumn | None
    names: tuple[str, ...] | None
    path: str | None
    size: tuple[str, str] | None
    is_export: bool

    @property
    def kind(self) -> str:
        return "classification" if self.objects is None else "detection"

    @property
    def all(self) -> list[str]:
        labels = self.objects.name if self.objects else self.label
        return [name for name in dict.fromkeys((self.image, labels, self.path, *(self.size or ()))) if name]


def dataset_columns(schema: pa.Schema, card: Names) -> DatasetColumns:
    """Boxes before classes. `card`: class names by column (`label`, `objects.category`), for tables that lack them.

    Raises HubSetUnusable where there are no images, or neither boxes nor classes.
    """
    image = image_column(schema)
    path = "path" if "path" in schema.names and is_text(schema.field("path").type) else None
    has_size = all(
        name in schema.names and pa.types.is_integer(schema.field(name).type) for name in ("width", "height")
    )
    size = ("width", "height") if has_size else None
    is_export = path is not None and "sha256" in schema.names and has_size
    if found := _objects(schema):
        names = _names_of_objects(found, features_of(schema), card)
        return DatasetColumns(image, None, found, names, path, size, is_export)
    if len(set(schema.names)) < len(schema.names):
        raise HubSetUnusable("Two columns have the same name.")
    columns = columns_of(schema, card, image=image, label=None)
    named = None if columns.names is None else tuple(columns.names)
    return DatasetColumns(image, columns.label, None, named, path, size, is_export)


def _objects(schema: pa.Schema) -> ObjectColumn | None:
    found = {field.name: column for field in schema if (column := _object_column(field))}
    likely = [name for name in _OBJECTS if name in found]
    return found[likely[0]] if likely else next(iter(found.values()), None)


def _object_column(field: pa.Field) -> ObjectColumn | None:
    is_list = _is_list(field.type)
    struct = field.type.value_type if is_list else field.type
    if not pa.types.is_struct(struct):
        return None
    fields = {struct.field(at).name: struct.field(at).type for at in range(struct.num_fields)}
    if not is_list:  # each is a list of its own
        fields = {name: kind.value_type for name, kind in fields.items() if _is_list(kind)}
    box = next((name for name in _BOXES if name in fields and _is_list(fields[name])), None)
    if box is None:
        return None
    label = next((name for name in _CLASSES if name in fields and _is_class(fields[name])), None)
    crowd = next((name for name in _CROWDS if name in fields), None)
    return ObjectColumn(field.name, is_list, box, label, _DIFFICULT if _DIFFICULT in fields else None, crowd)


def _names_of_objects(found: ObjectColumn, features: Mapping[str, Any], card: Names) -> tuple[str, ...] | None:
    if found.label is None:
        return None
    inner = next((each for each in _structs(features.get(found.name)) if found.label in each), {})
    names = next((names for each in _inner(inner.get(found.label)) if (names := class_names(each))), None)
    chosen: Sequence[str] | None = names or card.get(f"{found.name}.{found.label}")
    return None if chosen is None else tuple(chosen)


def _structs(feature: Any) -> Iterator[dict[str, Any]]:
    yield from (each for each in _inner(feature) if isinstance(each, dict))


def _inner(feature: Any) -> Iterator[Any]:
    """The feature, and what lists of it hold: `Sequence(feature)`, `List(feature)`, `[feature]`."""
    for _ in range(4):
        if isinstance(feature, list) and len(feature) == 1:
            feature = feature[0]
        yield feature
        if not (isinstance(feature, dict) and "feature" in feature):
            return
        feature = feature["feature"]


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_class(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind)) or is_text(kind)
