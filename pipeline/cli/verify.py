"""`python -m pipeline verify bundle.zip [--sha256 X]`: whether a bundle is as it was written, offline."""

import argparse
import sys
from pathlib import Path

MAX_FAULTS = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, help="the ZIP that GET /models/{ref}/{version}/bundle sends")
    parser.add_argument("--sha256", help="what the service names as the sha256 of the whole ZIP (ETag)")


def main(args: argparse.Namespace) -> int:
    """Returns 0 for a bundle that is as it was written, 1 where something differs, 2 for no file."""
    from pipeline.bundle.verify import verify_bundle

    try:
        found = verify_bundle(args.bundle, sha256=args.sha256)
    except OSError as error:
        sys.stderr.write(f"python -m pipeline verify: {args.bundle}: {error.strerror}\n")
        return 2
    for fault in found.faults[:MAX_FAULTS]:
        sys.stdout.write(f"{fault}\n")
    if len(found.faults) > MAX_FAULTS:
        sys.stdout.write(f"and {len(found.faults) - MAX_FAULTS} more\n")
    verdict = "NOT as it was written" if found.faults else "as it was written"
    sys.stdout.write(f"{args.bundle}: {verdict}; {found.files} files, {found.bytes} bytes, sha256 {found.sha256}\n")
    return 1 if found.faults else 0
