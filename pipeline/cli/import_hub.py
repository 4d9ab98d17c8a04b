"""`python -m pipeline import folder/ set.zip`: a dataset as it lies on a Hugging Face hub becomes folders of classes.

The folder holds the files of the repository, fetched by whatever means. Nothing in it is run or unpickled: parquet and
images are read, and a loading script is a file like any other that is left alone.
"""

import argparse
import json
import resource
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.hub.to_zip import LocalFile, Made
    from pipeline.process.child import Channel
    from pipeline.process.progress import StageReporter

MEMORY_BYTES = 6 * 1024**3  # address space: a row group inflated, its packed bytes, libraries
MAX_BYTES = 20 * 1024**3  # of the images, by hand; the worker says its own


@dataclass(frozen=True, slots=True)
class ImportSpec:
    """`out` is the folder of a supervised child, which writes IMPORTED_FILE and result.json there."""

    files: Sequence["LocalFile"]
    target: Path
    out: Path
    image_column: str | None = None
    label_column: str | None = None
    class_names: dict[str, list[str]] = field(default_factory=dict)
    max_bytes: int = MAX_BYTES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, nargs="?", help="the files of the repository")
    parser.add_argument("target", type=Path, nargs="?", help="the ZIP to write")
    parser.add_argument("--splits", nargs="+", default=["train"], help="the splits to take. Default: train.")
    parser.add_argument("--subset", help="the subset to take, where there are several: by the README, else a folder")
    parser.add_argument("--image-column", help="column of the images, where there are several")
    parser.add_argument("--label-column", help="column of the labels, where there are several")
    parser.add_argument("--config", type=Path, help="spec.json instead of arguments")
    parser.add_argument("--supervised", action="store_true", help="stdin is a supervisor's pipe")
    parser.set_defaults(parser=parser)


def main(args: argparse.Namespace) -> int:
    """0: the ZIP is written; 1: problem.json (or the last line, by hand) says why not; 76: cancelled."""
    from core.domain.errors import PreparationFailed
    from pipeline.process.child import run_child
    from pipeline.process.progress import StageReporter

    if not args.config:
        return _by_hand(args)
    spec = _read_spec(args.config)

    def work(line: "Channel") -> None:
        _import_for_worker(spec, StageReporter(line))

    return run_child(spec.out, work, supervised=args.supervised, crash=PreparationFailed)


def _read_spec(path: Path) -> ImportSpec:
    from pipeline.hub.files import IMPORTED_FILE
    from pipeline.hub.to_zip import LocalFile

    spec = json.loads(path.read_text(encoding="utf-8"))
    out = Path(spec["out"])
    return ImportSpec(
        files=[LocalFile(each["split"], each["name"], Path(each["path"])) for each in spec["files"]],
        target=out / IMPORTED_FILE,
        out=out,
        image_column=spec.get("image_column"),
        label_column=spec.get("label_column"),
        class_names=spec.get("class_names") or {},
        max_bytes=int(spec["max_bytes"]),
    )


def _import_for_worker(spec: ImportSpec, steps: "StageReporter") -> None:
    """Writes the ZIP, then result.json."""
    from pipeline.prepare.run import RESULT_FILE, write_json

    # What a hostile table makes its reader allocate ends here, not with the machine.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    made = _make(spec, steps)
    result: dict[str, Any] = {"outcome": "imported", "images": made.images, "left_out": made.left_out}
    write_json(spec.out / RESULT_FILE, result | {"classes": list(made.classes)})


def _make(spec: ImportSpec, steps: "StageReporter") -> "Made":
    """Raises HubSetUnusable, RunCancelled."""
    from core.domain.errors import HubSetUnusable
    from pipeline.hub.files import TABLE
    from pipeline.hub.to_zip import images_to_zip, tables_to_zip

    steps.stage("converting")
    partial = spec.target.with_name(f"{spec.target.name}.part")
    try:
        if all(each.name.lower().endswith(TABLE) for each in spec.files):
            made = tables_to_zip(
                spec.files,
                partial,
                spec.class_names,
                image=spec.image_column,
                label=spec.label_column,
                max_bytes=spec.max_bytes,
                steps=steps,
            )
        else:
            made = images_to_zip(spec.files, partial, max_bytes=spec.max_bytes, steps=steps)
        if not made.images:
            raise HubSetUnusable("It has no row with an image and a label.", left_out=made.left_out)
        partial.replace(spec.target)
    except MemoryError as error:
        raise HubSetUnusable("Reading it takes more memory than is allowed.", limit_bytes=MEMORY_BYTES) from error
    finally:
        partial.unlink(missing_ok=True)
    steps.end()
    return made


def _by_hand(args: argparse.Namespace) -> int:
    from pydantic import ValidationError

    from core.domain.errors import DarkroomError
    from pipeline.hub.card import card_of
    from pipeline.hub.files import HubFile, names_of_card, wanted_files
    from pipeline.hub.to_zip import LocalFile
    from pipeline.params.hub_set import HubSet
    from pipeline.process.progress import StageReporter

    if not (args.folder and args.target):
        args.parser.error("name the folder and the ZIP to write, or --config")
    folder: Path = args.folder
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    try:
        asked = HubSet(repository="local", splits=tuple(args.splits), subset=args.subset)
        card = card_of(folder)
        wanted = wanted_files([HubFile(name) for name in names], card, asked)
        files = [LocalFile(each.split, each.file.name, folder / each.file.name) for each in wanted]
        columns = (args.image_column, args.label_column)
        spec = ImportSpec(files, args.target, args.target.parent, *columns, names_of_card(card, asked.subset))
        made = _make(spec, StageReporter(verbose=True))
    except ValidationError as error:
        args.parser.error(str(error.errors()[0]["msg"]))
    except (DarkroomError, OSError) as error:
        print(f"It could not be imported: {error}")  # noqa: T201 - the command's output
        return 1
    left_out = f", {made.left_out} rows left out" if made.left_out else ""
    print(f"{made.images} images of {len(made.classes)} classes are in {args.target}{left_out}")  # noqa: T201
    return 0
