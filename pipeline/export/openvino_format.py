"""OpenVINO's IR: model.xml, and model.bin beside it. fp16: the weights alone; int8: weights and activations; bf16: the
computation alone, which the file says."""

import logging
import re
from pathlib import Path
from typing import Any

import onnx

from core.domain.errors import ExportUnsupported
from pipeline.export.catalogue import ExportOptions
from pipeline.export.exporter import ExportSource
from pipeline.export.quantisation import Quantisation
from pipeline.export.suppression_graph import with_suppression
from pipeline.predictor.engines import COMPUTES_IN, import_openvino
from pipeline.predictor.metadata import KEY, OutputForm, read_metadata
from pipeline.predictor.onnx_file import description_in
from pipeline.predictor.package import OPENVINO_MODEL


def write(source: ExportSource, folder: Path, options: ExportOptions) -> None:
    """See `pipeline.export.exporter.Exporter`."""
    graph = onnx.load(str(source.onnx))
    if options.nms == "inside":
        graph = with_suppression(graph)
    openvino = import_openvino()
    core = openvino.Core()
    if options.precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise ExportUnsupported("precision: the processor of this worker has no bfloat16 to be measured. Take fp32.")
    model = core.read_model(graph.SerializeToString())
    if source.quantisation is not None:
        model = _quantised(model, source.quantisation, form=read_metadata(description_in(graph)).output.form)
    _rename_unnamed(model)
    model.set_rt_info(description_in(graph), [KEY])
    if options.precision == "bf16":
        model.set_rt_info("bf16", [COMPUTES_IN])
    openvino.save_model(model, str(folder / OPENVINO_MODEL), compress_to_fp16=options.precision == "fp16")


def _quantised(model: Any, quantisation: Quantisation, *, form: OutputForm) -> Any:
    import nncf

    nncf.set_log_level(logging.ERROR)  # it lists every ignored node

    return nncf.quantize(
        model,
        nncf.Dataset(quantisation),
        preset=nncf.QuantizationPreset.MIXED,  # activations such as SiLU are not symmetric
        subset_size=len(quantisation),
        model_type=None if form in ("anchors", "kept-boxes") else nncf.ModelType.TRANSFORMER,
        ignored_scope=nncf.IgnoredScope(names=_names_in(model, quantisation), validate=False),
    )


def _names_in(model: Any, quantisation: Quantisation) -> list[str]:
    """OpenVINO names a node as ONNX does, and its part without the addition of a bias with a suffix."""
    present = {operation.get_friendly_name() for operation in model.get_ops()}
    kept = {name for name in present if name.partition("/WithoutBiases")[0] in quantisation.single}
    return sorted(kept | {name for name in present if name.startswith(quantisation.suppression)})


def _rename_unnamed(model: Any) -> None:
    """OpenVINO numbers what has no name by a counter of the process: the same model gives the same bytes without it."""
    for place, operation in enumerate(model.get_ordered_ops()):
        kind = operation.get_type_name()
        if re.fullmatch(rf"{re.escape(kind)}_\d+", operation.get_friendly_name()):
            operation.set_friendly_name(f"{kind}_{place}")
