"""A disk of a few megabytes, mounted in a namespace of its own: what a program meets when it is really full."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import REPOSITORY


def run_on_small_disk(folder: Path, code: str, *, megabytes: int) -> str:
    """Run some Python with `sys.argv[1]` a folder with the mounted `disk` in it; returns what it printed.

    Skips the test where no disk can be mounted.
    """
    (folder / "disk").mkdir()
    mounted = f'mount -t tmpfs -o size={megabytes}m none "$1/disk" || exit 99; exec "$2" -c "$3" "$1"'
    namespace = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mounted, "sh"]
    if shutil.which("unshare") is None:
        pytest.skip("a small disk needs Linux and unshare")
    run = subprocess.run(
        [*namespace, str(folder), sys.executable, code], capture_output=True, text=True, cwd=REPOSITORY
    )
    if run.returncode == 99 or "unshare" in run.stderr:
        pytest.skip("a small disk needs the permission to mount one in a namespace")
    assert run.returncode == 0, run.stderr
    return run.stdout
