"""`python -m pipeline sample shapes.zip`: draw a sample dataset. A worker gives a SampleSpec after `--config`."""

import argparse
from pathlib import Path

from core.domain.errors import PreparationFailed
from pipeline.process.child import run_child
from pipeline.process.progress import StageReporter
from pipeline.process.results import ImportedArchive, write_result
from pipeline.process.specs import SAMPLE_FILE, SAMPLE_IMAGES, SampleSpec


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", type=Path, nargs="?", help="the ZIP to write")
    parser.add_argument("--images", type=int, default=SAMPLE_IMAGES, help=f"how many. Default: {SAMPLE_IMAGES}.")
    parser.add_argument("--seed", type=int, default=0, help="another seed draws other images. Default: 0.")
    parser.add_argument("--config", type=Path, help="spec.json instead of arguments")
    parser.add_argument("--supervised", action="store_true", help="stdin is a supervisor's pipe")
    parser.set_defaults(parser=parser)


def main(args: argparse.Namespace) -> int:
    """Returns 0: the ZIP is written; 1: problem.json holds the reason; 76: cancelled."""
    if args.config:
        spec = SampleSpec.model_validate_json(args.config.read_bytes())
        return run_child(
            spec.out,
            lambda channel: _draw_for_worker(spec, StageReporter(channel)),
            supervised=args.supervised,
            crash=PreparationFailed,
            memory_bytes=spec.memory_bytes,
        )
    if args.target is None or args.images < 1:
        args.parser.error("name the ZIP to write, of at least one image, or --config")
    _draw(args.target, args.images, args.seed, StageReporter(verbose=True))
    print(f"{args.images} images are in {args.target}")
    return 0


def _draw_for_worker(spec: SampleSpec, steps: StageReporter) -> None:
    classes = _draw(spec.out / SAMPLE_FILE, spec.images, spec.seed, steps)
    write_result(spec.out, ImportedArchive(images=spec.images, left_out=0, classes=classes))


def _draw(target: Path, images: int, seed: int, steps: StageReporter) -> tuple[str, ...]:
    """Returns the names of the classes. Raises RunCancelled."""
    from pipeline.samples.scenes import (  # it loads numpy and Pillow, which `--help` does not need
        CLASSES,
        write_archive,
    )

    steps.stage("importing")
    write_archive(target, scenes=images, seed=seed, drawn=steps.tick)
    steps.end()
    return CLASSES
