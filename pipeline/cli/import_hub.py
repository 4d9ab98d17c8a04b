"""`python -m pipeline import folder/ set.zip`: the files of a dataset on a Hugging Face hub become folders of classes.

The folder holds the files of the repository, fetched by any means. Nothing in it is run or unpickled: parquet and
images are read, and a loading script is left alone like any other file. A worker gives an ImportSpec after `--config`.
"""

import argparse
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from core.domain.errors import DarkroomError, HubSetUnusable, PreparationFailed
from core.domain.field_errors import reason_of
from pipeline.hub.card import card_of
from pipeline.hub.files import IMPORTED_FILE, TABLE, HubFile, names_of_card, select_files
from pipeline.params.hub_set import HubSet
from pipeline.process.child import run_child
from pipeline.process.progress import StageReporter
from pipeline.process.results import ImportedArchive, write_result
from pipeline.process.specs import FetchedFile, ImportSpec

if TYPE_CHECKING:
    from pipeline.hub.columns import Names
    from pipeline.hub.to_zip import ImportedZip

MEMORY_BYTES = 6 * 1024**3  # address space: a row group inflated, its packed bytes, libraries
MAX_BYTES = 20 * 1024**3  # of the images, by hand; a worker's spec names its own limit


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
    """Returns 0: the ZIP is written; 1: problem.json (or the last line, by hand) holds the reason; 76: cancelled."""
    if not args.config:
        return _import_by_hand(args)
    spec = ImportSpec.model_validate_json(args.config.read_bytes())
    return run_child(
        spec.out,
        lambda channel: _import_for_worker(spec, StageReporter(channel)),
        supervised=args.supervised,
        crash=PreparationFailed,
    )


def _import_for_worker(spec: ImportSpec, steps: StageReporter) -> None:
    """Writes the ZIP, then result.json."""
    # A hostile table that makes its reader allocate ends this process, not the machine.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    made = _write_zip(
        spec.files,
        spec.out / IMPORTED_FILE,
        spec.class_names,
        image_column=spec.image_column,
        label_column=spec.label_column,
        max_bytes=spec.max_bytes,
        steps=steps,
    )
    write_result(spec.out, ImportedArchive(images=made.images, left_out=made.left_out, classes=made.classes))


def _import_by_hand(args: argparse.Namespace) -> int:
    if not (args.folder and args.target):
        args.parser.error("name the folder and the ZIP to write, or --config")
    folder: Path = args.folder
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    try:
        hub_set = HubSet(repository="local", splits=tuple(args.splits), subset=args.subset)
        card = card_of(folder)
        wanted = select_files([HubFile(name) for name in names], card, hub_set)
        made = _write_zip(
            [FetchedFile(each.split, each.file.name, folder / each.file.name) for each in wanted],
            args.target,
            names_of_card(card, hub_set.subset),
            image_column=args.image_column,
            label_column=args.label_column,
            max_bytes=MAX_BYTES,
            steps=StageReporter(verbose=True),
        )
    except ValidationError as error:
        args.parser.error(reason_of(error.errors()[0]["msg"]))
    except (DarkroomError, OSError) as error:
        print(f"The dataset could not be imported: {error}")
        return 1
    left_out = f", {made.left_out} rows left out" if made.left_out else ""
    print(f"{made.images} images of {len(made.classes)} classes are in {args.target}{left_out}")
    return 0


def _write_zip(
    files: Sequence[FetchedFile],
    target: Path,
    class_names: "Names",
    *,
    image_column: str | None,
    label_column: str | None,
    max_bytes: int,
    steps: StageReporter,
) -> "ImportedZip":
    """The ZIP appears whole or not at all. Raises HubSetUnusable, RunCancelled."""
    from pipeline.hub.to_zip import images_to_zip, tables_to_zip  # pyarrow takes 0.3 s

    steps.stage("converting")
    partial = target.with_name(f"{target.name}.part")
    try:
        if all(each.name.lower().endswith(TABLE) for each in files):
            made = tables_to_zip(
                files, partial, class_names, image=image_column, label=label_column, max_bytes=max_bytes, steps=steps
            )
        else:
            made = images_to_zip(files, partial, max_bytes=max_bytes, steps=steps)
        if not made.images:
            raise HubSetUnusable("It has no row with an image and a label.", left_out=made.left_out)
        partial.replace(target)
    except MemoryError as error:
        raise HubSetUnusable("Reading it takes more memory than is allowed.", limit_bytes=MEMORY_BYTES) from error
    finally:
        partial.unlink(missing_ok=True)
    steps.end()
    return made
