"""The facts of a machine that the last digits of a prediction may depend on."""

import platform
from functools import cache
from pathlib import Path

from pipeline.receipts.schema import ReceiptMachine

# By which engines choose their kernels: another order of additions, or another precision.
FEATURES = (
    *("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vl"),
    *("avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "i8mm", "bf16", "sve"),
)
_PROCESSORS = Path("/proc/cpuinfo")


@cache
def this_machine() -> ReceiptMachine:
    """Without processor features where the system is not Linux."""
    flags = _flags(_PROCESSORS.read_text(encoding="utf-8", errors="replace") if _PROCESSORS.is_file() else "")
    found = tuple(name for name in FEATURES if name in flags)
    return ReceiptMachine(system=platform.system(), architecture=platform.machine(), processor_features=found)


def _flags(text: str) -> frozenset[str]:
    """Of the first processor."""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()
