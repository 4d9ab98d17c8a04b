"""What `make up` costs: seconds until everything answers, and the memory of the idle stack.

    python -m benchmarks.stack --rounds 3

Each round starts a stack of its own in a new folder, so the first start of MLflow, which makes its tables, is in it.
Memory is proportional (PSS): pages that processes share count once.
"""

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

import psutil

from deploy.local.private_stack import PrivateStack, start_stack, stop_stack, takes_uploads
from deploy.local.readiness import READY_SECONDS, open_probe, why_not_ready

READY_GOAL_SECONDS = 12.0
IDLE_GOAL_BYTES = 1_500_000_000
SETTLE_SECONDS = 15.0
MIB = 2**20


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stack", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    seconds, idle = zip(*(_round() for _ in range(rounds)), strict=True)
    ready, memory = median(seconds), median(idle)
    print(f"everything answers after {ready:.1f} s (goal {READY_GOAL_SECONDS:g}; {_listed(seconds)})")
    print(f"idle memory {memory / MIB:.0f} MiB (goal {IDLE_GOAL_BYTES / MIB:.0f})")
    return 0 if ready <= READY_GOAL_SECONDS and memory <= IDLE_GOAL_BYTES else 1


def idle_bytes(launcher: psutil.Process) -> dict[str, int]:
    """Proportional memory of the stack that `launcher` runs, by entry of the Procfile."""
    return {part: sum(each.memory_full_info().pss for each in found) for part, found in _parts(launcher).items()}


def _round() -> tuple[float, int]:
    with tempfile.TemporaryDirectory(prefix="darkroom-stack-") as folder:
        started = time.monotonic()
        stack = start_stack(Path(folder))
        try:
            first, ready = wait_until_ready(stack, started)
            launcher = psutil.Process(stack.process.pid)
            print(f"uploads are taken after {first:.1f} s, everything answers after {ready:.1f} s")
            busy = {part: _processor_seconds(found) for part, found in _parts(launcher).items()}
            time.sleep(SETTLE_SECONDS)
            memory = idle_bytes(launcher)
            for part, used in memory.items():
                print(f"  {part:<14} {used / MIB:6.0f} MiB  {busy.get(part, 0):5.1f} s of processor time")
            print(f"  {'all':<14} {sum(memory.values()) / MIB:6.0f} MiB  {sum(busy.values()):5.1f} s")
            return ready, sum(memory.values())
        finally:
            stop_stack(stack)


def wait_until_ready(stack: PrivateStack, started: float) -> tuple[float, float]:
    """Seconds from `started` (monotonic) until uploads are taken, and until every part answers.

    Raises SystemExit where the stack stops or takes longer than READY_SECONDS.
    """
    first = 0.0
    with open_probe() as probe:
        while why := why_not_ready(probe, api_url=stack.api_url, serving_urls=[stack.serving_url]):
            if not first and takes_uploads(stack.api_url):
                first = time.monotonic() - started
            if stack.process.poll() is not None or time.monotonic() - started > READY_SECONDS:
                sys.exit(f"The stack is not ready: {why}. See {stack.log}.")
            time.sleep(0.2)
    ready = time.monotonic() - started
    return first or ready, ready


def _parts(launcher: psutil.Process) -> dict[str, list[psutil.Process]]:
    """A process belongs to the entry under whose process supervisor it runs, the others to the launcher."""
    children = launcher.children(recursive=True)
    supervisors = [each for each in children if "deploy.local.restart_on_exit" in each.cmdline()]
    parts: dict[str, list[psutil.Process]] = defaultdict(list)
    for supervisor in supervisors:
        parts[_entry(supervisor)] += [supervisor, *supervisor.children(recursive=True)]
    supervised = {each for found in parts.values() for each in found}
    return {"launcher": [launcher, *(each for each in children if each not in supervised)], **parts}


def _entry(supervisor: psutil.Process) -> str:
    """`worker train`, `serving`, `mlflow_server`, ..."""
    command = supervisor.cmdline()
    command = command[command.index("--") + 1 :]
    if command[1] != "-m":
        return Path(command[0]).name
    return " ".join(command[2:4]) if command[2] == "worker" else command[2].rpartition(".")[2]


def _processor_seconds(processes: list[psutil.Process]) -> float:
    return sum(sum(each.cpu_times()[:2]) for each in processes)


def _listed(seconds: tuple[float, ...]) -> str:
    return ", ".join(f"{each:.1f}" for each in seconds)


if __name__ == "__main__":
    sys.exit(main())
