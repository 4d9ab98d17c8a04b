"""A short chaos: what the benchmark finds in a hundred rounds must be absent in a few."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests import REPOSITORY

ROUNDS = 6
SERVERS = {"sqlite": ("private_valkey",), "postgresql": ("private_valkey", "private_postgres", "private_s3")}
NEVER = (
    "lost uploads",
    "lost runs",
    "lost operations",
    "requests done twice",
    "rows stuck",
    "duplicate or missing versions",
    "faulty projects",
    "gaps in events",
    "rows without objects",
    "objects without rows",
    "processes left",
    "answers 500 or not understood",
)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("database", list(SERVERS))
def test_faults_lose_and_leave_nothing(database: str, request: pytest.FixtureRequest) -> None:
    for server in SERVERS[database]:
        request.getfixturevalue(server)  # skipped where there is none; the benchmark starts its own
    command = [sys.executable, "-m", "benchmarks.chaos", "--database", database, "--rounds", str(ROUNDS), "--seed", "7"]
    short = ["--minutes", "4", "--real-every", "1000"]
    done = subprocess.run([*command, *short], cwd=REPOSITORY, capture_output=True, text=True, check=False)

    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[0]) if done.stdout else {}
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout
    assert figures["rounds"] == ROUNDS and figures["uploads"] and figures["runs"] and figures["operations"]
    assert [figures[name] for name in NEVER] == [0] * len(NEVER)
