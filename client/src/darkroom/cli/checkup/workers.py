"""What the workers compute on: processors, GPUs, engines and their precisions."""

from collections.abc import Mapping, Sequence
from typing import Any

from darkroom.cli.checkup import Check, Checks
from darkroom.cli.text import counted, size

UNUSED_GPU = (
    "Trainings use the processor there: install a PyTorch with CUDA for that driver, or check CUDA_VISIBLE_DEVICES."
)


def worker_checks(workers: Sequence[Mapping[str, Any]]) -> Checks:
    """`workers`: the items of `GET /workers`. One check for each that has reported what it computes on."""
    for worker in workers:
        found = worker.get("devices")
        if not isinstance(found, Mapping):
            continue
        name = f"{worker.get('role')} worker"
        parts = [f"{worker.get('name')}: {_devices(found)}", *map(_engine, found.get("engines", ()))]
        detail = "; ".join(parts)
        if _has_unused_gpu(found):
            yield Check(name, "warn", detail, UNUSED_GPU)
        else:
            yield Check(name, "ok", detail)


def _devices(found: Mapping[str, Any]) -> str:
    gpus = [f"{each.get('name')} ({size(int(each.get('memory_bytes', 0)))})" for each in found.get("gpus", ())]
    processor = f"cpu with {counted(int(found.get('cores', 0)), 'core')}"
    named = f" ({found['processor']})" if found.get("processor") else ""
    return ", ".join([f"{processor}{named}", *(f"cuda: {each}" for each in gpus)])


def _engine(found: Mapping[str, Any]) -> str:
    devices, precisions = (" ".join(found.get(name, ())) for name in ("devices", "precisions"))
    return f"{found.get('name')} {found.get('version')} on {devices} in {precisions}"


def _has_unused_gpu(found: Mapping[str, Any]) -> bool:
    """The driver names a GPU, and PyTorch was found without it."""
    torch = [each for each in found.get("engines", ()) if each.get("name") == "pytorch"]
    return bool(found.get("gpus")) and any("cuda" not in each.get("devices", ()) for each in torch)
