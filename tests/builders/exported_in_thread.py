"""An exported file that runs in a thread of the test, with pipes: what its process would answer, in less time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any, cast

from pipeline.export.catalogue import ExportOptions
from pipeline.export.exported_process import ExportedProcess
from pipeline.export.exporter import ExportSource, exporter_of
from pipeline.predictor.engines import Engine
from pipeline.predictor.predictor import ExportPredictor
from pipeline.predictor.process import serve


@contextmanager
def exported_in_thread(file: Path, scratch: Path, *, engine: Engine | None = None) -> Iterator[ExportedProcess]:
    predictor = ExportPredictor(file, engine=engine)
    requested, requesting = os.pipe()
    answered, answering = os.pipe()
    with open(requested) as requests, open(answering, "w") as answers, open(answered) as stdout:
        thread = Thread(target=serve, args=(predictor, requests, answers), daemon=True)
        thread.start()
        with open(requesting, "w") as stdin:
            yield ExportedProcess(cast(Any, SimpleNamespace(stdin=stdin, stdout=stdout)), scratch)
        thread.join()


def write_openvino(onnx_file: Path, parent: Path | None = None) -> Path:
    """In a folder of its own in `parent`, or beside the ONNX file."""
    folder = (parent or onnx_file.parent) / f"{onnx_file.stem}.openvino"
    folder.mkdir()
    exporter_of("openvino").write(ExportSource(onnx_file), folder, ExportOptions("openvino"))
    return folder / "model.xml"
