"""`python -m pipeline devices`: what this machine computes on, as JSON."""

import argparse
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from pipeline.export.catalogue import FORMATS
from pipeline.predictor.engines import PROVIDERS, import_openvino
from pipeline.process.devices import ComputeEngine, Devices, Gpu

QUERY = ("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits")
QUERY_SECONDS = 15  # a driver that no process has open takes some to start
MIB = 1024**2
_PROCESSORS = Path("/proc/cpuinfo")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--engines", action="store_true", help="also what can compute models, which takes a second")


def main(args: argparse.Namespace) -> int:
    sys.stdout.write(devices_of_this_machine(engines=args.engines).model_dump_json() + "\n")
    return 0


def devices_of_this_machine(*, engines: bool) -> Devices:
    """`engines`: import what computes; PyTorch only where there is a GPU."""
    gpus = tuple(_gpus())
    return Devices(
        processor=_processor(_PROCESSORS.read_text(errors="replace") if _PROCESSORS.is_file() else ""),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        gpus=gpus,
        engines=tuple(_engines(has_gpu=bool(gpus))) if engines else (),
    )


def _processor(text: str) -> str:
    """The model that the kernel names, of the first processor."""
    names = (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name"))
    return next(names, "") or platform.processor()


def _gpus() -> Iterator[Gpu]:
    """By the driver. Nothing of CUDA is opened, which would take some of a GPU's memory."""
    if shutil.which(QUERY[0]) is None:
        return
    try:
        found = subprocess.run(QUERY, capture_output=True, text=True, timeout=QUERY_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):  # a driver without a device fails
        return
    yield from gpus_in(found.stdout)


def gpus_in(text: str) -> Iterator[Gpu]:
    """The lines of the query: name, MiB."""
    for line in text.splitlines():
        name, _, memory = line.rpartition(",")
        if name and memory.strip().isdigit():
            yield Gpu(name=name.strip(), memory_bytes=int(memory) * MIB)


def _engines(*, has_gpu: bool) -> Iterator[ComputeEngine]:
    finders: list[Callable[[], ComputeEngine]] = [partial(_pytorch, has_gpu=has_gpu), _onnxruntime, _openvino]
    for find in finders:
        with suppress(ImportError, OSError, metadata.PackageNotFoundError):  # one that is not installed, or not whole
            yield find()


def _pytorch(*, has_gpu: bool) -> ComputeEngine:
    """Its import takes seconds and 300 MB: without a GPU there is nothing to find out by it."""
    version = metadata.version("torch")
    devices, precisions = ["cpu"], ["fp32"]
    if has_gpu:
        import torch

        cuda: Any = torch.cuda
        if cuda.is_available():
            devices.append("cuda")
            precisions.append("bf16" if cuda.is_bf16_supported() else "fp16")
    return ComputeEngine(name="pytorch", version=version, devices=tuple(devices), precisions=tuple(precisions))


def _onnxruntime() -> ComputeEngine:
    import onnxruntime

    available = onnxruntime.get_available_providers()
    devices = tuple(device for device, (provider, _) in PROVIDERS.items() if provider in available)
    precisions = FORMATS["onnx"].precisions
    return ComputeEngine(name="onnxruntime", version=onnxruntime.__version__, devices=devices, precisions=precisions)


def _openvino() -> ComputeEngine:
    """Without bf16 where the processor has none: it would compute in single precision."""
    openvino = import_openvino()
    has_bf16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    precisions = tuple(each for each in FORMATS["openvino"].precisions if each != "bf16" or has_bf16)
    version = openvino.__version__.split("-")[0]
    return ComputeEngine(name="openvino", version=version, devices=("cpu",), precisions=precisions)
