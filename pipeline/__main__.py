"""`python -m pipeline <command>`: each command is a module, imported when it is called."""

import argparse
import gc
import os
import sys
from importlib import import_module
from typing import Protocol, cast


class Command(Protocol):
    """What a command's module provides. It imports no heavy library before `main` is called."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def main(self, args: argparse.Namespace) -> int: ...


COMMANDS: dict[str, tuple[str, str]] = {
    "preflight": ("pipeline.cli.preflight", "list what a ZIP would be rejected for, by its directory alone"),
    "prepare": ("pipeline.cli.prepare", "validate a dataset and write the tree that trainers read"),
    "fingerprint": ("pipeline.cli.fingerprint", "print both digests of a dataset, offline"),
    "repair": ("pipeline.cli.repair", "write a repaired copy of a dataset, with a log of every change"),
    "extend": ("pipeline.cli.extend", "write the next revision of a dataset as a ZIP and prepare it, for a worker"),
    "export-dataset": ("pipeline.cli.export_dataset", "write a dataset as COCO, Pascal VOC, YOLO, folders or Parquet"),
    "import": ("pipeline.cli.import_hub", "make a ZIP of folders of classes from the files of a dataset on a hub"),
    "sample": ("pipeline.cli.sample", "draw a sample dataset: shapes on busy backgrounds, with their boxes"),
    "import-model": ("pipeline.cli.import_model", "read a model that was trained elsewhere, as a trainer publishes it"),
    "train": ("pipeline.cli.train", "train a model on a prepared dataset"),
    "evaluate": ("pipeline.cli.evaluate", "evaluate a trained model on a split of a prepared dataset"),
    "evaluate-version": ("pipeline.cli.evaluate_version", "evaluate a version or an export on a dataset, for a worker"),
    "index": ("pipeline.cli.index_set", "make the image index of a stored prepared dataset, for a worker"),
    "freeze": ("pipeline.cli.freeze", "list the test images of a stored prepared dataset, for a worker"),
    "render": ("pipeline.cli.render", "render images for the API, one after the other"),
    "compare-results": ("pipeline.cli.compare_results", "compare two evaluations image by image, for the API"),
    "list-answers": ("pipeline.cli.list_answers", "list what an evaluation answered for each image, for the API"),
    "export": ("pipeline.cli.export", "write a trained model as ONNX, OpenVINO or TorchScript, and compare it"),
    "export-version": ("pipeline.cli.export_version", "make an export and its certificate, for a worker"),
    "bundle": ("pipeline.cli.bundle", "write the bundle of a version, for a worker"),
    "verify": ("pipeline.cli.verify", "check that a bundle is as it was written, offline"),
    "replay": ("pipeline.cli.replay", "make the prediction of a receipt again, offline, and name what differs"),
    "predict-batch": ("pipeline.cli.predict_batch", "run an export on many images, for a worker"),
    "predict": ("pipeline.cli.predict", "run a trained model on images"),
    "devices": ("pipeline.cli.devices", "print what this machine computes on: processor, GPUs, engines"),
}
_READ_DATASETS = frozenset({"prepare", "fingerprint", "repair", "extend", "export-dataset"})


def run(argv: list[str]) -> int:
    """Dispatch `argv` (without the program's name). Returns the command's exit status; 0 after help, 2 if unknown."""
    if not argv or argv[0] in ("-h", "--help"):
        print(_usage())
        return 0
    name = argv[0]
    if name not in COMMANDS:
        print(f"python -m pipeline: there is no command {name!r}\n\n{_usage()}", file=sys.stderr)
        return 2
    module, summary = COMMANDS[name]
    command = cast(Command, import_module(module))
    parser = argparse.ArgumentParser(prog=f"python -m pipeline {name}", description=summary)
    command.add_arguments(parser)
    return command.main(parser.parse_args(argv[1:]))


def _usage() -> str:
    lines = "\n".join(f"  {name:<12} {summary}" for name, (_, summary) in COMMANDS.items())
    return f"usage: python -m pipeline <command> [--help] ...\n\n{lines}"


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in _READ_DATASETS:
        # A million small objects without a cycle among them: a collection every 700 costs a tenth of the reading.
        gc.set_threshold(100_000)
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # starting its threads takes as long as importing numpy
        if "--supervised" in sys.argv:  # a worker's arguments are right
            import_module("pipeline.decode.process").start_server()  # beside the imports that follow
    status = run(sys.argv[1:])
    gc.freeze()  # else the interpreter collects once more at its end: 0.05 s where numpy and matplotlib were used
    sys.exit(status)
