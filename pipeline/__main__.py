"""`python -m pipeline <verb>`: the verbs, each in its own module, imported only when it is asked for."""

import gc
import os
import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Protocol

    class Verb(Protocol):
        """What a verb's module provides; it imports nothing heavy before `main` is called."""

        def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

        def main(self, args: argparse.Namespace) -> int: ...


VERBS: dict[str, tuple[str, str]] = {
    "prepare": ("pipeline.cli.prepare", "check a dataset and write the tree that trainers read"),
    "fingerprint": ("pipeline.cli.fingerprint", "print both digests of a dataset, offline"),
    "repair": ("pipeline.cli.repair", "write a repaired copy of a dataset, with a log of every change"),
    "import": ("pipeline.cli.import_hub", "make a ZIP of folders of classes from the files of a dataset on a hub"),
    "train": ("pipeline.cli.train", "train a model on a prepared dataset"),
    "evaluate": ("pipeline.cli.evaluate", "evaluate a trained model on a split of a prepared dataset"),
    "predict": ("pipeline.cli.predict", "run a trained model on images"),
}
_READ_DATASETS = frozenset({"prepare", "fingerprint", "repair"})
# Where a worker's start needs less than a person's: no arguments, nor the schemas behind them, which take 0.1 s.
_FOR_WORKERS = {"prepare": "pipeline.prepare.run"}


def run(argv: list[str]) -> int:
    """Dispatch `argv` (without the program's name). Returns the verb's exit status; 0 after help, 2 if unknown."""
    if not argv or argv[0] in ("-h", "--help"):
        print(_usage())
        return 0
    name = argv[0]
    if name not in VERBS:
        print(f"python -m pipeline: there is no verb {name!r}\n\n{_usage()}", file=sys.stderr)
        return 2
    module, summary = VERBS[name]
    if name in _FOR_WORKERS and argv[1:2] == ["--config"] and argv[3:] == ["--supervised"]:
        status: int = import_module(_FOR_WORKERS[name]).serve(argv[2])
        return status
    import argparse

    verb: Verb = import_module(module)
    parser = argparse.ArgumentParser(prog=f"python -m pipeline {name}", description=summary)
    verb.add_arguments(parser)
    return verb.main(parser.parse_args(argv[1:]))


def _usage() -> str:
    lines = "\n".join(f"  {name:<12} {summary}" for name, (_, summary) in VERBS.items())
    return f"usage: python -m pipeline <verb> [--help] ...\n\n{lines}"


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in _READ_DATASETS:
        # A million small objects without a cycle among them: a collection every 700 costs a tenth of the reading.
        gc.set_threshold(100_000)
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # starting its threads takes as long as importing numpy
    status = run(sys.argv[1:])
    gc.freeze()  # else the interpreter looks for garbage on its way out: 0.05 s where numpy and matplotlib were used
    sys.exit(status)
