"""The memory that a training may allocate, on a small machine."""

import subprocess
import sys

import pytest

from core.domain.limits import GIB
from worker.supervision import oom

TRAINING = """
import sys
from pipeline.process.memory_limit import limit_memory

limit_memory(int(sys.argv[1]))
import pyarrow, torch

pyarrow.table({"a": [1]})
used = torch.ones(200_000_000)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits it")
def test_a_machine_of_2_gib_trains_with_800_mb(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch and pyarrow allocate more than a GiB that they do not use."""
    monkeypatch.setattr(oom, "memory_of_machine", lambda: 2 * GIB)
    child = [sys.executable, "-c", TRAINING, str(oom.allocatable_bytes())]
    ended = subprocess.run(child, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
