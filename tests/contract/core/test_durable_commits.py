"""What a service answers after a commit must still be true after a power cut."""

import subprocess
import sys
from pathlib import Path

MODE = """
import sys
from core.db import open_database
with open_database(sys.argv[1]).engine.connect() as connection:
    print(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())
"""
FULL = "2"


def test_a_commit_on_sqlite_is_on_the_disk_before_it_is_answered(sqlite_url: str) -> None:
    """In a process of its own: those of the tests do not flush."""
    command = [sys.executable, "-c", MODE, sqlite_url]
    mode = subprocess.run(command, cwd=Path(__file__).parents[3], check=True, capture_output=True, text=True).stdout
    assert mode.strip() == FULL
