"""`darkroom import`: a model that was trained elsewhere, or a dataset of a hub, a URL, a bucket or a folder."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from zipfile import BadZipFile, ZipFile

import typer

from darkroom.cli import version_views, views
from darkroom.cli.arguments import OptionOption, ProjectOption, WaitOption, dataset_options
from darkroom.cli.command import command
from darkroom.cli.commands.runs import followed_operation, watch_dataset
from darkroom.cli.exits import ExitCode
from darkroom.cli.failures import WrongUsage
from darkroom.cli.session import Session
from darkroom.schemas import Dataset

REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
LOCATION = re.compile(r"(https?|s3|file)://.*|(dataset|sample):.+")
EXAMPLES = (
    ("darkroom import theirs.pt --project raccoons --dataset d2", "a model as the next version, evaluated on d2"),
    ("darkroom import Bingsu/Human_Action_Recognition --project actions", "a dataset of a Hugging Face hub"),
    ("darkroom import Bingsu/Human_Action_Recognition --split train --split validation", "with its own splits"),
    ("darkroom import https://data.example/raccoons.zip --project raccoons", "a ZIP, fetched by the service"),
    ("darkroom import s3://datasets/raccoons --project raccoons", "the files of a bucket"),
    ("darkroom import file:///srv/datasets/raccoons --project raccoons", "a folder on the worker's machine"),
    (
        "darkroom import dataset:raccoons/d1 --option on_error=skip",
        "a rejected ZIP again, without what is broken",
    ),
    ("darkroom import sample:shapes --project shapes", "a small dataset, which the service draws"),
)


def add_to(app: typer.Typer) -> None:
    command(app, "import", panel="Datasets", examples=EXAMPLES)(import_any)


def import_any(
    session: Session,
    what: Annotated[
        str,
        typer.Argument(
            metavar="FILE|REPOSITORY|URL",
            help="A .pt, .onnx or .zip file of a model; or a dataset: OWNER/NAME of a hub, https://..., s3://bucket/prefix,"
            " file:///folder of the worker's machine, dataset:NAME to prepare its ZIP again, or sample:shapes.",
        ),
    ],
    project: ProjectOption = None,
    dataset: Annotated[str | None, typer.Option("--dataset", help="Of a model: what it is evaluated on.")] = None,
    revision: Annotated[str | None, typer.Option("--revision", help="Of a hub's dataset.")] = None,
    subset: Annotated[str | None, typer.Option("--subset", help="Of a hub's dataset.")] = None,
    split: Annotated[list[str] | None, typer.Option("--split", help="Of a hub's dataset; may be repeated.")] = None,
    sha256: Annotated[str | None, typer.Option("--sha256", help="Of a ZIP at a URL: what it must have.")] = None,
    option: OptionOption = None,
    wait: WaitOption = True,
) -> ExitCode:
    """Import a model that was trained elsewhere, or a dataset: of a hub, a URL, a bucket, a folder, another dataset."""
    if Path(what).is_file():
        return _import_model(session, Path(what), project, dataset, wait)
    if LOCATION.fullmatch(what):
        made = _from_location(session, what, project, sha256, dataset_options(option or ()))
    elif REPOSITORY.fullmatch(what):
        made = session.client.datasets.import_huggingface(
            what,
            project=project,
            revision=revision,
            subset=subset,
            splits=tuple(split or ()) or None,
            wait=False,
            **dataset_options(option or ()),
        )
    else:
        remedy = "A dataset is OWNER/NAME of a hub, https://..., s3://bucket/prefix, file:///folder, or sample:shapes."
        if Path(what).is_dir() or what.lower().endswith(".zip"):
            remedy = f"`darkroom upload {what}` sends a dataset of this computer. {remedy}"
        raise WrongUsage(f"There is no file {what}.", remedy)
    if wait:
        return watch_dataset(session, made)
    session.out.result(made, lambda: views.dataset(made))
    return ExitCode.OK


def _from_location(
    session: Session, location: str, project: str | None, sha256: str | None, options: Mapping[str, Any]
) -> Dataset:
    try:
        return session.client.datasets.import_from(location, sha256=sha256, project=project, wait=False, **options)
    except ValueError as error:
        raise WrongUsage(f"{error}.", "A folder of the worker's machine is file:///srv/datasets/raccoons.") from error


def _import_model(session: Session, file: Path, project: str | None, dataset: str | None, wait: bool) -> ExitCode:
    if file.suffix.lower() == ".zip" and not _may_be_model(file):
        remedy = f"If it is a dataset: `darkroom upload {file}`. A ZIP of a model holds a folder of transformers."
        raise WrongUsage(f"{file} holds no model: no config.json is in it.", remedy)
    if project is None:
        raise WrongUsage("A model is imported into a project.", f"Add --project: darkroom import {file} --project NAME")
    operation = session.client.models.import_file(project, file, dataset=dataset)
    if wait:
        operation = followed_operation(session, operation)
    if operation.state != "succeeded" or not operation.result:
        session.out.result(operation, lambda: views.operation(operation))
        return ExitCode.FAILED if wait else ExitCode.OK
    version = session.client.models.get(str(operation.result["name"]))
    session.out.result(version, lambda: version_views.version(version))
    return ExitCode.OK


def _may_be_model(file: Path) -> bool:
    """Whether the ZIP has a config.json, or cannot be read here."""
    try:
        with ZipFile(file) as archive:
            return any(name.rpartition("/")[2] == "config.json" for name in archive.namelist())
    except (BadZipFile, OSError):
        return True
