"""A dataset written in a format that others read, as one ZIP: uploaded images as they are, boxes or classes, splits."""

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from pipeline.params.dataset_exports import EXPORT_FORMATS

if TYPE_CHECKING:
    from pipeline.archive.zip_writer import ZipWriter
    from pipeline.dataset_export.losses import Losses
    from pipeline.dataset_export.readme import Readme
    from pipeline.dataset_export.source import ExportSource
    from pipeline.params.dataset_exports import Arrange
    from pipeline.process.progress import StageReporter


class FormatWriter(Protocol):
    def write(
        self,
        source: "ExportSource",
        target: "ZipWriter",
        *,
        arrange: "Arrange",
        losses: "Losses",
        steps: "StageReporter",
    ) -> "Readme":
        """Add all files but README.md, in an order that depends on the dataset alone; note in `losses` what the format
        has no place for. Returns what the README says about using them.

        Raises RunCancelled, OSError, OperationFailed for an image that is not the one of the index.
        """


def writer_of(name: str) -> FormatWriter:
    return cast(FormatWriter, import_module(EXPORT_FORMATS[name].module))
