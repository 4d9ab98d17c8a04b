"""An export of a dataset: the ZIP of a format, its README last."""

from pathlib import Path

from pipeline.archive.zip_writer import ZipWriter
from pipeline.dataset.class_order import natural_order
from pipeline.dataset_export import writer_of
from pipeline.dataset_export.losses import Losses
from pipeline.dataset_export.readme import README, readme_text
from pipeline.dataset_export.source import ExportSource
from pipeline.formats.class_order import CLASS_ORDER
from pipeline.params.dataset_exports import Arrange
from pipeline.process.progress import StageReporter
from pipeline.process.results import DatasetExported, Loss


def export_dataset(
    source: ExportSource, target: Path, *, name: str, arrange: Arrange, steps: StageReporter
) -> DatasetExported:
    """Writes `target`, which appears whole or not at all: the same bytes for the same dataset and options.

    `name`: of a format that holds datasets of this kind. Raises RunCancelled, OSError, OperationFailed.
    """
    losses = Losses()
    partial = target.with_name(f"{target.name}.part")
    try:
        with ZipWriter(partial) as archive:
            written = writer_of(name).write(source, archive, arrange=arrange, losses=losses, steps=steps)
            _add_class_order(archive, source.kind, written.classes or source.classes)
            listed = losses.listed()
            archive.add(README, readme_text(source, name, written, listed).encode())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    steps.end()
    return DatasetExported(images=source.count, losses=[Loss(**each) for each in listed])


def _add_class_order(archive: ZipWriter, kind: str, classes: list[str]) -> None:
    """Where their names alone would give other ids."""
    usual = sorted(classes, key=natural_order) if kind == "classification" else sorted(classes)
    if classes != usual:
        archive.add(CLASS_ORDER, "".join(f"{name}\n" for name in classes).encode())
