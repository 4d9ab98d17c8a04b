"""`python -m tests.servers.scripted_worker train`: the real worker with scripted training children."""

import sys
from pathlib import Path

import worker.tasks.train
from worker.__main__ import main


def scripted_command(verb: str, spec: Path) -> list[str]:
    return [sys.executable, "-m", "tests.servers.scripted_child", verb, "--config", str(spec), "--supervised"]


if __name__ == "__main__":
    worker.tasks.train.child_command = scripted_command
    main(sys.argv[1:])
