"""Results of evaluations, fetched and handed to a child that computes one file of them."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.db.tables import EvaluationArtifactRow
from core.domain.errors import Unavailable
from core.storage import ObjectCorrupt, ObjectMissing, ObjectStore
from pipeline.process.environment import child_environment

SECONDS = 130.0  # the child ends itself before


def fetch_results(store: ObjectStore, wanted: Mapping[Path, EvaluationArtifactRow]) -> None:
    """Each artifact into its file. Raises Unavailable."""
    for file, artifact in wanted.items():
        try:
            store.fetch(artifact.key, file)
        except (ObjectMissing, ObjectCorrupt) as error:
            detail = "The results of an evaluation are missing or damaged in the object store."
            raise Unavailable(detail, service="store") from error


def run_on_results(command: str, files: Sequence[Path], target: Path, *, doing: str, service: str) -> None:
    """`python -m pipeline {command} {files} --out {target}`. A failure says `doing` first. Raises Unavailable."""
    arguments = [sys.executable, "-m", "pipeline", command, *map(str, files), "--out", str(target)]
    environment = child_environment(os.environ) | {"OPENBLAS_NUM_THREADS": "1"}
    try:
        subprocess.run(
            arguments,
            check=True,
            capture_output=True,
            text=True,
            env=environment,
            timeout=SECONDS,
            start_new_session=True,  # Ctrl-C on a terminal is for the API
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{doing} took more than {SECONDS:g} seconds.", service=service) from error
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or [f"exit status {error.returncode}"])[-1][:300]
        raise Unavailable(f"{doing} failed: {last}", service=service) from error
