"""`python -m pipeline prepare data.zip out/`: check a dataset and write the tree that trainers read.

A person gives arguments or a PrepareConfig; a worker's spec.json goes to `pipeline.prepare.run.serve`.
"""

import argparse
import json
import os
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from pipeline.archive.entry_names import printable
from pipeline.archive.plural import counted
from pipeline.cli.config_files import ConfigInvalid, checked, complain, field_lines, load_file
from pipeline.cli.prepare_options import add_options
from pipeline.params.prepare import SYNONYMS, PrepareOptions

if TYPE_CHECKING:
    from pipeline.prepare.run import PrepareSpec
    from pipeline.process.child import Channel


SHOWN_FINDINGS = 10
_STATUS = "exit status: 0 ready, 1 rejected or failed, 2 wrong arguments, 76 cancelled"


class PrepareConfig(BaseModel):
    """What a person writes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    archive: Path = Field(description="The ZIP.")
    out: Path = Field(description="A new or empty folder; out/tree is what train and test take as their dataset.")
    options: PrepareOptions = Field(default_factory=PrepareOptions, description="As the upload has them:")
    processes: int | None = Field(None, ge=1, description="Processes that decode. Empty: one a core.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("archive", type=Path, nargs="?", help="the ZIP")
    parser.add_argument("out", type=Path, nargs="?", help="a new or empty folder")
    parser.add_argument("--config", type=Path, help="a YAML or JSON file with the fields below; arguments win over it")
    add_options(parser)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "\n".join(["fields of the config:", *field_lines(PrepareConfig), "", _STATUS])


def main(args: argparse.Namespace) -> int:
    """0: ready; 1: rejected, see result.json, or our failure, see problem.json; 2: wrong config; 76: cancelled."""
    # Imported here, so that `--help` is instant.
    from core.domain.errors import PreparationFailed
    from pipeline.prepare.run import prepare
    from pipeline.process.child import problem_in, run_child
    from pipeline.process.progress import StageReporter

    try:
        spec = _spec_of_person(args)
    except (OSError, ConfigInvalid) as error:
        return complain("prepare", args.config, error)

    rejected = False

    def work(line: "Channel") -> None:
        nonlocal rejected
        result = prepare(spec, StageReporter(line, verbose=True))
        _tell(spec.out, result)
        rejected = result["outcome"] == "rejected"

    status = run_child(spec.out, work, supervised=False, crash=PreparationFailed)
    if status:
        print(f"not prepared: {problem_in(spec.out)}")  # noqa: T201 - for the person
    return status or int(rejected)


def _spec_of_person(args: argparse.Namespace) -> "PrepareSpec":
    """Raises ConfigInvalid, OSError."""
    from pipeline.prepare.run import PrepareSpec

    content = load_file(args.config) if args.config else {}
    given = {name: value for name, value in vars(args).items() if value is not None}
    content |= {name: given[name] for name in ("archive", "out", "processes") if name in given}
    options = {name: given[name] for name in (*PrepareOptions.model_fields, *SYNONYMS) if name in given}
    told = content.get("options") or {}
    if options and isinstance(told, dict):  # what is none is told below
        content["options"] = {**told, **options}
    config = checked(PrepareConfig, content)
    if not config.archive.is_file():
        raise ConfigInvalid([f"archive: there is no {config.archive}"])
    if config.out.exists() and not (config.out.is_dir() and next(config.out.iterdir(), None) is None):
        raise ConfigInvalid([f"out: {config.out} is there and not an empty folder"])
    return PrepareSpec(config.archive, config.out, config.options.model_dump(), config.processes or os.cpu_count() or 1)


def _tell(out: Path, result: dict[str, Any]) -> None:
    if result["problem"]:
        print(f"{result['problem']['slug']}: {result['problem']['detail']}")  # noqa: T201 - for the person
    else:
        print(f"ready: {counted(result['images'], 'image')}, classes {', '.join(result['classes'])}")  # noqa: T201
        print(f"fingerprint {result['fingerprint']}")  # noqa: T201
    for code, entry in result["findings"].items():
        print(f"  {entry['severity']:8} {entry['count']:6} {code}")  # noqa: T201
    from pipeline.prepare.run import FINDINGS_FILE

    _tell_findings(out / FINDINGS_FILE, result["findings_total"])
    print(f"All of it is in {out}")  # noqa: T201


def _tell_findings(file: Path, total: int) -> None:
    """The first of them, errors before the rest, each with its place."""
    with file.open(encoding="utf-8") as lines:
        for finding in map(json.loads, islice(lines, SHOWN_FINDINGS)):
            place = finding["path"] + (f":{finding['line']}" if finding["line"] else "")
            print(printable(f"{place}  {finding['code']}  {finding['detail']} {finding['remedy']}"))  # noqa: T201
    if (more := total - SHOWN_FINDINGS) > 0:
        print(f"and {more} more, see {file}")  # noqa: T201
