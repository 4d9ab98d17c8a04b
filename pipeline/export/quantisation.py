"""What an int8 export is made with: inputs that calibrate it, and the part that is left in single precision."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from pipeline.export.suppression_graph import PREFIX
from pipeline.predictor.images import decode
from pipeline.predictor.metadata import read_metadata
from pipeline.predictor.onnx_file import description_in
from pipeline.predictor.preprocess import prepare

CALIBRATION_IMAGES = 300
_WEIGHTED = frozenset({"Conv", "MatMul", "Gemm"})


@dataclass(frozen=True, slots=True)
class Attempt:
    """`single`: the share of the layers, counted from the output, that is left in single precision beside the head."""

    name: str
    images: int
    single: float


ATTEMPTS = (  # each is slower than the one before, and nearer to the model
    Attempt("head in single precision", images=100, single=0.0),
    Attempt("head in single precision, more images", images=CALIBRATION_IMAGES, single=0.0),
    Attempt("head, last third and first layer in single precision", images=CALIBRATION_IMAGES, single=1 / 3),
)


class Quantisation:
    """Iterates over the inputs, as (1, 3, height, width) float32: made when they are read, for they are large.

    `single`: names of the nodes of the ONNX graph that are left in single precision.
    """

    suppression = PREFIX

    def __init__(self, onnx_file: Path, images: Sequence[Path], attempt: Attempt) -> None:
        model = onnx.load(str(onnx_file), load_external_data=False)
        self.input_name = str(model.graph.input[0].name)
        self.single = _single(model.graph, attempt.single)
        self._preprocessing = read_metadata(description_in(model)).preprocessing
        self._images = [images[index] for index in _spread(len(images), attempt.images)]

    def __len__(self) -> int:
        return len(self._images)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for image in self._images:
            yield prepare(decode(image.read_bytes()), self._preprocessing)[0][None]


def _spread(count: int, at_most: int) -> list[int]:
    return [int(index) for index in np.unique(np.linspace(0, count - 1, min(count, at_most)).astype(int))]


def _single(graph: Any, share: float) -> frozenset[str]:
    """The head: in a graph whose names are paths of modules, all of the module that makes the output, else from the
    last layer with weights on."""
    nodes = list(graph.node)
    output = graph.output[0].name
    layers = [index for index, node in enumerate(nodes) if node.op_type in _WEIGHTED]
    module = next(node.name for node in nodes if output in node.output).split("/")[:-1]
    if len(module) > 1:
        first = f"{'/'.join(module[:2])}/"
        kept = {node.name for node in nodes if node.name.startswith(first)}
    else:
        kept = {node.name for node in nodes[layers[-1] if layers else 0 :]}
    if share and layers:
        start = layers[int(len(layers) * (1 - share))]
        kept |= {nodes[layers[0]].name, *(node.name for node in nodes[start:])}
    return frozenset(kept)
