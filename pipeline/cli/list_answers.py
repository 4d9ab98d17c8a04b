"""`python -m pipeline list-answers`: the artifacts of an evaluation as images to be looked at, for the API."""

import argparse
import json
import resource
import signal
from pathlib import Path

SECONDS = 120  # 50,000 images with 20 boxes each take about half
MEMORY_BYTES = 8 * 1024**3  # address space


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("results", type=Path, help="image_results.npz of an evaluation")
    parser.add_argument("predictions", type=Path, help="its predictions.jsonl")
    parser.add_argument("thresholds", type=Path, help="JSON: `all`, and `classes` by name")
    parser.add_argument("--out", type=Path, required=True, help="a SQLite file that does not exist yet")


def main(args: argparse.Namespace) -> int:
    """Returns 0. What takes too long or too much memory ends the process."""
    from pipeline.evaluation.answers import write_answers
    from pipeline.evaluation.image_results import read_results
    from pipeline.evaluation.thresholds import Thresholds

    signal.alarm(SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    found = json.loads(args.thresholds.read_text(encoding="utf-8"))
    thresholds = Thresholds(float(found["all"]), "val", dict(found["classes"]), {})
    write_answers(read_results(args.results), args.predictions, thresholds, args.out)
    return 0
