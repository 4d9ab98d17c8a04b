"""`python -m pipeline <verb>`: the verbs, each in its own module, imported only when it is asked for."""

import argparse
import gc
import sys
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

VERBS: dict[str, tuple[str, str]] = {
    "prepare": ("pipeline.prepare", "check a dataset and write the tree that trainers read"),
    "fingerprint": ("pipeline.fingerprint", "print both digests of a dataset, offline"),
    "repair": ("pipeline.repair", "write a repaired copy of a dataset, with a log of every change"),
    "import": ("pipeline.importing", "make a ZIP of folders of classes from the files of a dataset on a hub"),
    "train": ("pipeline.train", "train a model on a prepared dataset"),
    "test": ("pipeline.test", "judge a trained model on a split of a prepared dataset"),
    "predict": ("pipeline.predict", "run a trained model on pictures"),
}
_DECODE = frozenset({"prepare", "fingerprint", "repair"})  # in processes whose server imports while we do
# Where a worker's start needs less than a person's: no arguments, nor the schemas behind them, which take 0.1 s.
_FOR_WORKERS = {"prepare": "pipeline.preparation"}


class Verb(Protocol):
    """What a verb's module provides; it imports nothing heavy before `main` is called."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def main(self, args: argparse.Namespace) -> int: ...


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
    if name in _DECODE and not {"-h", "--help"} & set(argv):
        from pipeline.decoders import warm_up

        warm_up()
    if name in _FOR_WORKERS and argv[1:2] == ["--config"] and argv[3:] == ["--supervised"]:
        status: int = import_module(_FOR_WORKERS[name]).serve(Path(argv[2]))
        return status
    verb = cast(Verb, import_module(module))
    parser = argparse.ArgumentParser(prog=f"python -m pipeline {name}", description=summary)
    verb.add_arguments(parser)
    return verb.main(parser.parse_args(argv[1:]))


def _usage() -> str:
    lines = "\n".join(f"  {name:<12} {summary}" for name, (_, summary) in VERBS.items())
    return f"usage: python -m pipeline <verb> [--help] ...\n\n{lines}"


if __name__ == "__main__":
    status = run(sys.argv[1:])
    gc.freeze()  # else the interpreter looks for garbage on its way out: 0.05 s where numpy and matplotlib were used
    sys.exit(status)
