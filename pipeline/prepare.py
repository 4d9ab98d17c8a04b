"""`python -m pipeline prepare data.zip out/`: check a dataset and write the tree that trainers read."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.options import add_options, read_options

if TYPE_CHECKING:
    from pipeline.child import Line
    from pipeline.preparation import PrepareSpec


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("archive", type=Path, nargs="?", help="the ZIP")
    parser.add_argument("out", type=Path, nargs="?", help="a new or empty folder")
    parser.add_argument("--config", type=Path, help="spec.json instead of arguments")
    parser.add_argument("--supervised", action="store_true", help="stdin is a supervisor's pipe")
    add_options(parser)


def main(args: argparse.Namespace) -> int:
    """0: ready or rejected, see result.json; 1: our failure, see problem.json; 76: cancelled."""
    # Imported here, so that `--help` is instant.
    from core.domain.errors import PreparationFailed
    from pipeline.child import run_child
    from pipeline.preparation import prepare
    from pipeline.steps import Steps

    spec = _spec(args)

    def work(line: "Line") -> None:
        result = prepare(spec, Steps(line, aloud=not args.supervised))
        if not args.supervised:
            _tell(spec.out, result)

    return run_child(spec.out, work, supervised=args.supervised, crash=PreparationFailed)


def _spec(args: argparse.Namespace) -> "PrepareSpec":
    from pipeline.preparation import PrepareSpec, read_spec

    if args.config:
        return read_spec(args.config)
    if not (args.archive and args.out):
        args.parser.error("name the ZIP and a folder for the result, or --config")
    return PrepareSpec(args.archive, args.out, read_options(args), args.processes or os.cpu_count() or 1)


def _tell(out: Path, result: dict[str, Any]) -> None:
    if result["problem"]:
        print(f"{result['problem']['slug']}: {result['problem']['detail']}")  # noqa: T201 - for the person
    else:
        print(f"ready: {result['images']} pictures, classes {', '.join(result['classes'])}")  # noqa: T201
        print(f"fingerprint {result['fingerprint']}")  # noqa: T201
    for code, entry in result["findings"].items():
        print(f"  {entry['severity']:8} {entry['count']:6} {code}")  # noqa: T201
    print(f"All of it is in {out}")  # noqa: T201
