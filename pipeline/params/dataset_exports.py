"""The formats in which a dataset is exported: of each its kinds of datasets, its module and what it is for.

A new format is one module (`pipeline.dataset_export.FormatWriter`), one entry here and one parameter of the contract test.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from core.domain.errors import DatasetFormatUnsupported

Format = Literal["coco", "voc", "yolo", "folders", "hf"]
Arrange = Literal["paths", "splits"]


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """`kinds`: of the datasets that it can hold. `arranged`: whether `arrange=splits` changes its folders."""

    title: str
    kinds: tuple[str, ...]
    module: str
    arranged: bool = False


EXPORT_FORMATS: Mapping[str, ExportFormat] = {
    "coco": ExportFormat("COCO", ("detection",), "pipeline.dataset_export.coco"),
    "voc": ExportFormat("Pascal VOC", ("detection",), "pipeline.dataset_export.voc"),
    "yolo": ExportFormat("YOLO", ("detection",), "pipeline.dataset_export.yolo", arranged=True),
    "folders": ExportFormat(
        "folders of classes", ("classification",), "pipeline.dataset_export.folders", arranged=True
    ),
    "hf": ExportFormat(
        "Hugging Face (Parquet)", ("detection", "classification"), "pipeline.dataset_export.huggingface"
    ),
}


def formats_of(kind: str) -> tuple[str, ...]:
    """Names of the formats that can hold datasets of this kind."""
    return tuple(name for name, each in EXPORT_FORMATS.items() if kind in each.kinds)


def require_format(kind: str, name: str) -> None:
    """Raises DatasetFormatUnsupported, with the formats that can hold datasets of this kind."""
    possible = formats_of(kind)
    if name not in possible:
        detail = f"A dataset for {kind} cannot be written as {name}; its formats are {', '.join(possible)}."
        raise DatasetFormatUnsupported(detail, kind=kind, format=name, formats=list(possible))
