"""`python -m pipeline fingerprint data.zip`: both digests, offline, as the platform computes them."""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from core.domain.errors import DarkroomError
from pipeline.options import add_options, read_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("archive", type=Path, help="the ZIP")
    add_options(parser)


def main(args: argparse.Namespace) -> int:
    """Prints JSON. 0: digests; 1: the dataset is rejected or cannot be read, and why."""
    from pipeline.dataset import Rejected
    from pipeline.examine import examine
    from pipeline.steps import Steps

    options = read_options(args)
    try:
        with tempfile.TemporaryDirectory(prefix="darkroom-") as scratch:
            processes = args.processes or os.cpu_count() or 1
            done = examine(args.archive, Path(scratch), options, processes=processes, steps=Steps())
    except Rejected as rejected:
        return _complain(rejected.problem)
    except (DarkroomError, OSError) as error:
        return _complain(error)
    answer = done.digests._asdict() | {"images": len(done.pictures), "classes": done.classes}
    print(json.dumps(answer, ensure_ascii=False, indent=2))  # noqa: T201 - the command's output
    return 0


def _complain(error: DarkroomError | OSError) -> int:
    slug = error.slug if isinstance(error, DarkroomError) else "unreadable"
    print(f"{slug}: {error}", file=sys.stderr)  # noqa: T201 - the command's output
    return 1
