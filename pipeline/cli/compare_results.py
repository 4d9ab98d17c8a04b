"""`python -m pipeline compare-results`: two evaluations of the same images, compared image by image, for the API."""

import argparse
import resource
import signal
from pathlib import Path

SECONDS = 120  # bounded by the work of the bootstrap: some seconds for 50,000 images
MEMORY_BYTES = 8 * 1024**3  # address space


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("first", type=Path, help="image_results.npz of an evaluation")
    parser.add_argument("second", type=Path, help="that of another one, on the same split")
    parser.add_argument("--out", type=Path, required=True, help="a SQLite file that does not exist yet")


def main(args: argparse.Namespace) -> int:
    """Returns 0. What takes too long or too much memory ends the process."""
    from pipeline.evaluation.image_results import read_results
    from pipeline.evaluation.paired import write_paired

    signal.alarm(SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    write_paired(read_results(args.first), read_results(args.second), args.out)
    return 0
