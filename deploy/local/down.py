"""`make down`: stop the stack of DARKROOM_HOME, or without it every stack found in .darkroom."""

import json
import os
import sys
from pathlib import Path

import psutil

from deploy.local.up import LOCK_FILE, ROOT, STOP_SECONDS


def main() -> int:
    stacks = [process for process in map(_stack_process, _lock_files()) if process]
    for process in stacks:
        process.terminate()
    _, left = psutil.wait_procs(stacks, timeout=STOP_SECONDS + 5)
    print(f"Stopped {len(stacks) - len(left)}." if stacks else "Nothing runs.")
    for process in left:
        print(f"Process {process.pid} does not end.", file=sys.stderr)
    return 1 if left else 0


def _lock_files() -> list[Path]:
    home = os.environ.get("DARKROOM_HOME")
    if home:
        return [Path(home) / LOCK_FILE]
    return [ROOT / ".darkroom" / LOCK_FILE, *sorted((ROOT / ".darkroom").glob(f"*/{LOCK_FILE}"))]


def _stack_process(path: Path) -> psutil.Process | None:
    """The launcher named in the file, if that is what runs under its number today."""
    try:
        process = psutil.Process(json.loads(path.read_text())["pid"])
        return process if "deploy.local.up" in process.cmdline() else None
    except (OSError, ValueError, KeyError, psutil.Error):
        return None


if __name__ == "__main__":
    sys.exit(main())
