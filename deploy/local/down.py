"""`make down`: stops the stack of DARKROOM_HOME, or without it every stack found in .darkroom."""

import json
import os
import sys
from pathlib import Path

import psutil

from deploy.local.arguments import take_no_arguments
from deploy.local.up import LOCK_FILE, ROOT, STOP_SECONDS
from pipeline.archive.plural import counted

DOES = """Stop the stack of DARKROOM_HOME, or without it every stack found in .darkroom.
`make down` is the same command."""


def main(arguments: list[str]) -> int:
    take_no_arguments(arguments, module="deploy.local.down", does=DOES, settings=("home",), read_from="the environment")
    stacks = [process for process in map(_stack_process, _lock_files()) if process]
    for process in stacks:
        process.terminate()
    _, left = psutil.wait_procs(stacks, timeout=STOP_SECONDS + 5)
    stopped = len(stacks) - len(left)
    print(f"Stopped {counted(stopped, 'stack')}." if stacks else "No stack is running.")
    for process in left:
        print(f"Process {process.pid} has not exited after {STOP_SECONDS + 5:.0f} s.", file=sys.stderr)
    return 1 if left else 0


def _lock_files() -> list[Path]:
    home = os.environ.get("DARKROOM_HOME")
    if home:
        return [Path(home) / LOCK_FILE]
    return [ROOT / ".darkroom" / LOCK_FILE, *sorted((ROOT / ".darkroom").glob(f"*/{LOCK_FILE}"))]


def _stack_process(path: Path) -> psutil.Process | None:
    """The launcher named in the file, if its pid still belongs to a launcher."""
    try:
        process = psutil.Process(json.loads(path.read_text())["pid"])
        return process if "deploy.local.up" in process.cmdline() else None
    except (OSError, ValueError, KeyError, psutil.Error):
        return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
