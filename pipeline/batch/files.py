"""The files of a batch, written together image by image."""

from pathlib import Path
from typing import Protocol, Self

from pipeline.batch.answered import Answered
from pipeline.batch.coco import DATASET_FILE, CocoWriter
from pipeline.batch.labelled import LabelledWriter
from pipeline.batch.lines import LinesWriter, TableWriter
from pipeline.predictor.metadata import ExportMetadata


class Writer(Protocol):
    def add(self, answered: Answered, file: str | None) -> None:
        """`file`: where the image lies in the labelled ZIP; None where it is not in it."""

    def close(self) -> None: ...


class BatchFiles:
    """Use as a context; left without an error, the files are whole."""

    def __init__(self, folder: Path, *, model: str, metadata: ExportMetadata, labelled: bool) -> None:
        kind, classes = metadata.kind, metadata.classes
        self._coco_file = folder / DATASET_FILE
        self._labelled = LabelledWriter(folder, kind=kind, classes=classes, is_written=labelled)
        self._coco = CocoWriter(folder, model=model, classes=classes) if kind == "detection" else None
        self._writers: list[Writer] = [LinesWriter(folder), TableWriter(folder), self._labelled]
        if self._coco is not None:
            self._writers.append(self._coco)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._coco is not None:
            self._coco.close()
            if kind is None:
                self._labelled.add_annotations(self._coco_file)
        for writer in self._writers:
            writer.close()

    def add(self, answered: Answered) -> None:
        file = self._labelled.path_of(answered)
        for writer in self._writers:
            writer.add(answered, file)
