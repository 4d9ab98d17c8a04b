"""A hostile ONNX file: parsed, checked for what only a program could do, and written anew without names of its machine.

The file is one protobuf message. Its operators are those of the standard, which every runtime has, in a plain list:
without files beside it, functions, loops and conditions, whose cost cannot be seen, and without random numbers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from pipeline.trainers.model_refusal import Reason, refused

MAX_NODES = 20_000  # a ViT-L has 3,000
MAX_TENSORS = 20_000
_STANDARD = ("", "ai.onnx")
_RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
_FLOATS = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16})
_LISTED = 10  # faults of a graph in a refusal


@dataclass(frozen=True, slots=True)
class Input:
    """The sizes of the only input (B, 3, height, width); None where the model takes any."""

    batch: int | None
    height: int | None
    width: int | None


def read_graph(file: Path) -> onnx.ModelProto:
    """Raises ModelRefused for what is no ONNX, and for what is not accepted in one."""
    try:
        model = onnx.load(str(file), load_external_data=False)
    except MemoryError:
        raise
    except Exception as error:  # of protobuf, which has no types
        raise refused(Reason(file.name, f"It is not an ONNX file: {str(error)[:200]}.")) from error
    reasons = [Reason(file.name, fault) for fault in islice(_faults(model), _LISTED)]
    if reasons:
        raise refused(*reasons)
    return model


def input_of(model: onnx.ModelProto, path: str) -> Input:
    """Raises ModelRefused for other inputs than one of images, and for several outputs."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1:
        named = ", ".join(value.name[:60] for value in inputs[:5]) or "none"
        raise refused(Reason(path, f"A model with one input, the images, is expected. This one has: {named}."))
    if len(model.graph.output) != 1:
        named = ", ".join(value.name[:60] for value in model.graph.output[:5]) or "none"
        detail = f"A model with one output is expected. This one has: {named}. Export it with its first stage alone."
        raise refused(Reason(path, detail))
    tensor = inputs[0].type.tensor_type
    sizes = [size.dim_value if size.HasField("dim_value") else None for size in tensor.shape.dim]
    if tensor.elem_type != TensorProto.FLOAT or len(sizes) != 4 or sizes[1] not in (3, None):
        sides = ", ".join("any" if size is None else str(size) for size in sizes)
        kind = TensorProto.DataType.Name(tensor.elem_type) if tensor.elem_type in _TYPES else "no tensor"
        detail = f"The input is {kind} ({sides}); FLOAT (batch, 3, height, width) is expected."
        raise refused(Reason(path, detail))
    if sizes[0] not in (None, 1):
        detail = (
            f"The model takes batches of exactly {sizes[0]} images: export it with a dynamic batch, or a batch of 1."
        )
        raise refused(Reason(path, detail))
    return Input(sizes[0], sizes[2], sizes[3])


def properties_of(model: onnx.ModelProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in model.metadata_props}


def count_weights(model: onnx.ModelProto) -> int:
    return sum(prod(tensor.dims) for tensor in model.graph.initializer)


def write_plain(model: onnx.ModelProto, target: Path) -> None:
    """Without texts, which have dates, paths and lines of code of the machine that exported it."""
    del model.metadata_props[:]
    model.doc_string = model.graph.doc_string = ""
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        value.doc_string = ""
        del value.metadata_props[:]
    onnx.save(model, str(target))


_TYPES = frozenset(TensorProto.DataType.values())


def _faults(model: onnx.ModelProto) -> Iterator[str]:
    graph = model.graph
    if model.functions or model.training_info:
        yield "It has functions or training steps of its own: export it with functions inlined, for inference."
    if len(graph.node) > MAX_NODES:
        yield f"It has {len(graph.node)} operators; at most {MAX_NODES} are accepted."
        return
    if not graph.node:
        yield "It has no operators."
    for node in graph.node:
        yield from _node_faults(node)
    if graph.sparse_initializer:
        yield "It has sparse weights: save them as plain tensors."
    tensors = list(islice(_tensors(graph), MAX_TENSORS + 1))
    if len(tensors) > MAX_TENSORS:
        yield f"It has more than {MAX_TENSORS} weights and constants."
        return
    for tensor in tensors:
        yield from _tensor_faults(tensor)


def _node_faults(node: Any) -> Iterator[str]:
    operator = f"{node.op_type[:60]} ({node.name[:60]})"
    if node.domain not in _STANDARD:
        yield f"{operator} is of the domain {node.domain[:60]!r}: only operators of the ONNX standard are accepted."
    if node.op_type in _RANDOM:
        yield f"{operator} gives random numbers: the same image would get another answer each time."
    if any(each.HasField("g") or each.graphs for each in node.attribute):
        yield f"{operator} is control flow: export the model without loops and conditions."
    if any(each.HasField("sparse_tensor") or each.sparse_tensors for each in node.attribute):
        yield f"{operator} has a sparse constant: save it as a plain tensor."


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _tensor_faults(tensor: Any) -> Iterator[str]:
    name = tensor.name[:60] or "a constant"
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        yield f"{name} lies in a file of its own: save the model as one file (external_data=False)."
        return
    try:
        values = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        yield f"{name} does not have the values that its shape needs: {str(error)[:100]}."
        return
    if tensor.data_type in _FLOATS and not np.isfinite(values.astype(np.float32)).all():
        yield f"{name} has values that are not finite."
