"""`python -m benchmarks.chaos.worker train`: the real worker; most of its children only pretend to compute.

A run whose seed is REAL_SEED is trained by ultralytics. The others take 0.15 s an epoch and keep the whole contract:
channel, checkpoints, artifacts.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from worker.__main__ import main
from worker.supervision.local_launcher import LocalLauncher
from worker.tasks.operations.catalogue import KINDS

REAL_SEED = 4242
SCRIPTED = "tests.servers.scripted_child"
SCRIPTED_KIND = "scripted"  # of operations: 0.1 s a step

_real_command = LocalLauncher.command


def _command(self: LocalLauncher, name: str, spec_file: Path) -> Sequence[str]:
    spec = json.loads(spec_file.read_text(encoding="utf-8"))
    if name == "train" and spec["params"].get("seed") == REAL_SEED:
        return _real_command(self, name, spec_file)
    return [sys.executable, "-m", SCRIPTED, name, "--config", str(spec_file), "--supervised"]


if __name__ == "__main__":
    KINDS[SCRIPTED_KIND] = "tests.servers.scripted_operation"
    LocalLauncher.command = _command  # type: ignore[method-assign] # this process is the benchmark's own
    main(sys.argv[1:])
