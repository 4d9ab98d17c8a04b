"""`python -m pipeline prepare data.zip out/`: validate a dataset and write the tree that trainers read.

A person gives arguments or a PrepareConfig; a worker, which adds --supervised, a PrepareSpec.
"""

import argparse
import json
import os
from itertools import islice
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.domain.errors import PreparationFailed
from pipeline.archive.entry_names import printable
from pipeline.archive.plural import counted
from pipeline.cli.config_files import ConfigInvalid, checked, complain, field_lines, load_file
from pipeline.cli.prepare_options import add_options
from pipeline.params.prepare import SYNONYMS, PrepareOptions
from pipeline.process.child import run_child
from pipeline.process.progress import StageReporter
from pipeline.process.results import FINDINGS_FILE, Prepared, Rejection, problem_in, read_result
from pipeline.process.specs import PrepareSpec

PRINTED_FINDINGS = 10
_STATUS = "exit status: 0 ready, 1 rejected or failed, 2 wrong arguments, 76 cancelled"


class PrepareConfig(BaseModel):
    """The config that a person writes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    archive: Path = Field(description="The ZIP.")
    out: Path = Field(description="A new or empty folder; out/tree is what train and evaluate take as their dataset.")
    options: PrepareOptions = Field(default_factory=PrepareOptions, description="As the upload has them:")
    exclude: Path | None = Field(None, description="A list of frozen test images: those that match are left out.")
    keeps_frozen: bool = Field(False, description="But for images given as test: it extends the frozen dataset.")
    processes: int | None = Field(None, ge=1, description="Processes that decode. Empty: one a core.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("archive", type=Path, nargs="?", help="the ZIP")
    parser.add_argument("out", type=Path, nargs="?", help="a new or empty folder")
    parser.add_argument("--config", type=Path, help="a YAML or JSON file with the fields below; arguments win over it")
    parser.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)  # the config is a PrepareSpec
    add_options(parser)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "\n".join(["fields of the config:", *field_lines(PrepareConfig), "", _STATUS])


def main(args: argparse.Namespace) -> int:
    """Returns 0: ready (for a worker also rejected, see result.json); 1: rejected, or failed, see problem.json;
    2: wrong config; 76: cancelled."""
    try:
        spec = (
            PrepareSpec.model_validate_json(args.config.read_bytes()) if args.supervised else _spec_of_arguments(args)
        )
    except (OSError, ValidationError, ConfigInvalid) as error:
        return complain("prepare", args.config, error)
    from pipeline.decode.process import start_server

    start_server()  # beside the import that follows
    from pipeline.prepare.run import prepare  # it loads Pillow, which `--help` does not need

    status = run_child(
        spec.out,
        lambda channel: prepare(spec, StageReporter(channel, verbose=not args.supervised)),
        supervised=args.supervised,
        crash=PreparationFailed,
        memory_bytes=spec.memory_bytes,
    )
    if args.supervised:
        return status
    if status:
        print(f"not prepared: {problem_in(spec.out)}")
        return status
    result = read_result(spec.out)
    if isinstance(result, Prepared | Rejection):
        _print_result(spec.out, result)
    return int(not isinstance(result, Prepared))


def _spec_of_arguments(args: argparse.Namespace) -> PrepareSpec:
    """Raises ConfigInvalid, OSError."""
    content = load_file(args.config) if args.config else {}
    given = {name: value for name, value in vars(args).items() if value is not None}
    content |= {name: given[name] for name in ("archive", "out", "processes", "exclude") if name in given}
    if args.keeps_frozen:
        content["keeps_frozen"] = True
    options = {name: given[name] for name in (*PrepareOptions.model_fields, *SYNONYMS) if name in given}
    configured = content.get("options") or {}
    if options and isinstance(configured, dict):  # anything else is reported by the schema
        content["options"] = {**configured, **options}
    config = checked(PrepareConfig, content)
    if not config.archive.is_file():
        raise ConfigInvalid([f"archive: there is no {config.archive}"])
    if config.out.exists() and not (config.out.is_dir() and next(config.out.iterdir(), None) is None):
        raise ConfigInvalid([f"out: {config.out} exists and is not an empty folder"])
    return PrepareSpec(
        archive=config.archive,
        out=config.out,
        options=config.options,
        processes=config.processes or os.cpu_count() or 1,
        exclude=config.exclude,
        keeps_frozen=config.keeps_frozen,
    )


def _print_result(out: Path, result: Prepared | Rejection) -> None:
    if isinstance(result, Rejection):
        print(f"{result.problem.slug}: {result.problem.detail}")
    else:
        print(f"ready: {counted(result.images, 'image')}, classes {', '.join(result.classes)}")
        print(f"fingerprint {result.fingerprint}")
    for code, entry in result.findings.items():
        print(f"  {entry['severity']:8} {entry['count']:6} {code}")
    _print_findings(out / FINDINGS_FILE, result.findings_total)
    print(f"All of it is in {out}")


def _print_findings(file: Path, total: int) -> None:
    """The first findings, errors before the rest, each with its place."""
    with file.open(encoding="utf-8") as lines:
        for finding in map(json.loads, islice(lines, PRINTED_FINDINGS)):
            place = finding["path"] + (f":{finding['line']}" if finding["line"] else "")
            print(printable(f"{place}  {finding['code']}  {finding['detail']} {finding['remedy']}"))
    if (more := total - PRINTED_FINDINGS) > 0:
        print(f"and {more} more, see {file}")
