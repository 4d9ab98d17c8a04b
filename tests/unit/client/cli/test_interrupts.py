"""Ctrl-C while the command line loads, and while a command works: the exit code, and no traceback."""

import subprocess
import sys

import pytest

INTERRUPTED = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "{module}":
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupting())
sys.argv = ["darkroom", "jobs", "--url", "http://127.0.0.1:9"]
from darkroom.cli import main

main()
"""


@pytest.mark.parametrize("module", ["typer", "httpx"], ids=["it-loads", "it-works"])
def test_an_interrupt_prints_no_traceback(module: str) -> None:
    command = [sys.executable, "-c", INTERRUPTED.replace("{module}", module)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
