"""`python -m tests.servers.scripted_worker train`: the real worker with scripted children."""

import sys
from collections.abc import Sequence
from pathlib import Path

from worker import __main__ as workers
from worker.supervision.local_launcher import LocalLauncher
from worker.tasks.operations.catalogue import KINDS


class ScriptedLauncher(LocalLauncher):
    """Starts children that only pretend to work."""

    def command(self, name: str, spec_file: Path) -> Sequence[str]:
        return [sys.executable, "-m", "tests.servers.scripted_child", name, "--config", str(spec_file), "--supervised"]


def main(arguments: list[str]) -> int:
    LocalLauncher.command = ScriptedLauncher.command
    KINDS["scripted"] = "tests.servers.scripted_operation"
    return workers.main(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
