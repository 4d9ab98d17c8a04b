"""Non-maximum suppression as a part of the ONNX graph: the output becomes the boxes that are left, `kept-boxes`.

The graph is written here, and not by ultralytics' `nms=True`: with a dynamic batch that one answers zero rows for each
image beyond those it was exported with. It computes as `pipeline.predictor.postprocess` does: the best class of each
box, and one suppression for all classes, whose boxes are shifted away from each other.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from core.domain.errors import ExportUnsupported
from pipeline.predictor.metadata import Output, read_metadata
from pipeline.predictor.onnx_file import describe, description_in
from pipeline.predictor.postprocess import CLASS_OFFSET
from pipeline.predictor.validation import LOWEST_SCORE

PREFIX = "suppression/"  # of the names of its nodes
OPSET = 18  # of the operators that are written here
_LAST = np.iinfo(np.int64).max


def add_suppression(file: Path) -> None:
    """Rewrites the ONNX file; see `with_suppression`."""
    onnx.save(with_suppression(onnx.load(str(file))), str(file))


def with_suppression(model: Any) -> Any:
    """Of a loaded ONNX model. Batch and sides stay dynamic: (B, K, 6), K at most `max_boxes`, empty rows are zero.

    IoU and the number of boxes are then part of the graph. A higher `min_score` than LOWEST_SCORE is still the
    caller's: a box never suppresses one of a higher score, so that leaving boxes out afterwards gives the same.
    Raises ExportUnsupported.
    """
    metadata = read_metadata(description_in(model))
    if metadata.output.form != "anchors":
        raise ExportUnsupported(
            f"nms: the output of this model is {metadata.output.form}, which needs no suppression. Take nms: outside."
        )
    opset = next(each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
    if opset < OPSET:
        raise ExportUnsupported(f"nms: suppression needs an ONNX file of opset {OPSET}; this one has {opset}.")
    result = onnx.ModelProto()
    result.CopyFrom(model)
    _Graph(result.graph).suppress(metadata.output)
    onnx.checker.check_model(result)
    describe(result, replace(metadata, output=replace(metadata.output, form="kept-boxes")))
    return result


class _Graph:
    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._count = 0

    def suppress(self, output: Output) -> None:
        raw = self._take_output()
        rows = self._node("Transpose", [raw], perm=[0, 2, 1])  # (B, N, 4 + classes)
        corners = self._corners(rows)
        scores = self._slice(rows, 4, _LAST, axis=2)
        best = self._node("ReduceMax", [scores, self._ints(2)], keepdims=0)  # (B, N)
        classes = self._node("ArgMax", [scores], axis=2, keepdims=1)
        classes = self._node("Cast", [classes], to=TensorProto.FLOAT)  # (B, N, 1)
        shifted = self._node("Add", [corners, self._node("Mul", [classes, self._floats(CLASS_OFFSET)])])
        kept = self._kept_scores(shifted, best, output)
        count = self._node("Min", [self._size(best, axis=1), self._ints(output.max_boxes)])
        scores, order = self._outputs("TopK", [kept, count], 2, axis=1, largest=1, sorted=1)  # (B, K)
        columns = self._node("Concat", [corners, self._column(best), classes], axis=2)
        chosen = self._gather_rows(columns, order)
        found = self._node("Greater", [self._column(scores), self._floats(0.0)])
        self._node("Where", [found, chosen, self._floats(0.0)], name="boxes")
        self._graph.output.append(
            helper.make_tensor_value_info(f"{PREFIX}boxes", TensorProto.FLOAT, ["batch", "boxes", 6])
        )

    def _take_output(self) -> str:
        raw = str(self._graph.output[0].name)
        del self._graph.output[:]
        return raw

    def _corners(self, rows: str) -> str:
        centre, sides = self._slice(rows, 0, 2, axis=2), self._slice(rows, 2, 4, axis=2)
        half = self._node("Mul", [sides, self._floats(0.5)])
        return self._node("Concat", [self._node("Sub", [centre, half]), self._node("Add", [centre, half])], axis=2)

    def _kept_scores(self, corners: str, scores: str, output: Output) -> str:
        """(B, N): the score of each box that is left, 0 of the others."""
        chosen = self._node(
            "NonMaxSuppression",
            [
                corners,
                self._node("Unsqueeze", [scores, self._ints(1)]),
                self._ints(output.max_boxes),
                self._floats(output.iou),
                self._floats(LOWEST_SCORE),
            ],
        )  # (M, 3): image, class, box
        places = self._node("Gather", [chosen, self._ints(0, 2)], axis=1)
        values = self._node("GatherND", [scores, places])
        zeros = self._node("Mul", [scores, self._floats(0.0)])
        return self._node("ScatterND", [zeros, places, values])

    def _gather_rows(self, rows: str, order: str) -> str:
        """(B, N, 6) and (B, K) -> (B, K, 6)."""
        places = self._node("Tile", [self._column(order), self._ints(1, 1, 6)])
        return self._node("GatherElements", [rows, places], axis=1)

    def _column(self, values: str) -> str:
        return self._node("Unsqueeze", [values, self._ints(2)])

    def _slice(self, values: str, start: int, end: int, *, axis: int) -> str:
        return self._node("Slice", [values, self._ints(start), self._ints(end), self._ints(axis)])

    def _size(self, values: str, *, axis: int) -> str:
        return self._node("Shape", [values], start=axis, end=axis + 1)

    def _ints(self, *values: int) -> str:
        return self._constant(np.array(values, np.int64))

    def _floats(self, *values: float) -> str:
        return self._constant(np.array(values, np.float32))

    def _constant(self, values: Any) -> str:
        name = self._name()
        self._graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def _node(self, kind: str, inputs: list[str], *, name: str = "", **attributes: Any) -> str:
        return self._outputs(kind, inputs, 1, name=name, **attributes)[0]

    def _outputs(self, kind: str, inputs: list[str], count: int, *, name: str = "", **attributes: Any) -> list[str]:
        names = [f"{PREFIX}{name}"] if name else [self._name() for _ in range(count)]
        self._graph.node.append(helper.make_node(kind, inputs, names, name=names[0], **attributes))
        return names

    def _name(self) -> str:
        self._count += 1
        return f"{PREFIX}{self._count:02d}"
