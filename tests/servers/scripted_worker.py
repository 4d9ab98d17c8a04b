"""`python -m tests.scripted_worker train`: the real worker, whose children pretend to train (scripted_child.py)."""

import sys
from pathlib import Path

import worker.train
from worker.__main__ import main


def scripted_command(verb: str, spec: Path) -> list[str]:
    return [sys.executable, "-m", "tests.scripted_child", verb, "--config", str(spec), "--supervised"]


if __name__ == "__main__":
    worker.train.child_command = scripted_command
    main(sys.argv[1:])
