"""What people write for a dataset, a version, an option: read, and resolved to what the API takes."""

import difflib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from darkroom.cli import completion
from darkroom.cli.failures import CommandFailed, WrongUsage

if TYPE_CHECKING:
    from darkroom import Client
    from darkroom.schemas import Dataset

JOB = re.compile(r"job_[0-9a-z]+")
DATASET = re.compile(r"(?P<project>[^/@]+)/d(?P<number>\d+)")

ProjectOption = Annotated[
    str | None, typer.Option("--project", "-p", help="Name of the project.", autocompletion=completion.complete_project)
]
DatasetArgument = Annotated[
    str,
    typer.Argument(
        metavar="DATASET",
        help="raccoons/d2, the id of a job, or a project: its newest ready dataset.",
        autocompletion=completion.complete_dataset,
    ),
]
ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="raccoons (production, else the latest), raccoons/v3, raccoons@production, or the id of a job.",
        autocompletion=completion.complete_model,
    ),
]
DATASET_OPTIONS = ("val_fraction", "test_fraction", "seed", "on_error", "split", "background")
OptionOption = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        "-o",
        metavar="NAME=VALUE",
        help=f"{', '.join(DATASET_OPTIONS)}; may be repeated.",
    ),
]
LimitOption = Annotated[
    int, typer.Option("--limit", "-n", metavar="N", min=1, help="How many at most, the newest first.")
]
WaitOption = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it has ended.")]


def job_of(client: "Client", name: str) -> str:
    """The id of the job. Raises CommandFailed, WrongUsage."""
    if JOB.fullmatch(name):
        return name
    return dataset_of(client, name).job_id


def dataset_of(client: "Client", name: str) -> "Dataset":
    """By the name of a dataset, of a job, or of a project: then the newest that is ready."""
    if JOB.fullmatch(name):
        return client.datasets.get(name)
    named = DATASET.fullmatch(name)
    if named is None and ("/" in name or "@" in name):
        raise WrongUsage(f"{name} is no dataset.", "A dataset is raccoons/d2, the id of a job, or a project.")
    for each in client.datasets.list(project=named["project"] if named else name):
        if each.dataset == name or (named is None and each.state == "ready"):
            return each
    if named:
        raise CommandFailed(f"There is no dataset {name}.", f"`darkroom datasets {named['project']}` lists them.")
    raise CommandFailed(
        f"The project {name} has no dataset that is ready.",
        f"`darkroom datasets {name}` lists their states; `darkroom upload FILE --project {name}` adds one.",
    )


def target_of(text: str | None) -> Path | None:
    """Where something is saved. With a slash at its end it is a folder, which is made."""
    if text is None:
        return None
    if text.endswith("/"):
        Path(text).mkdir(parents=True, exist_ok=True)
    return Path(text)


def pairs_in(values: Sequence[str], *, option: str) -> dict[str, str]:
    """`seed=7` -> {"seed": "7"}. Raises WrongUsage."""
    found = {}
    for text in values:
        name, separator, value = text.partition("=")
        if not separator or not name.strip():
            raise WrongUsage(f"{option} {text}: write NAME=VALUE.", f"For example {option} seed=7.")
        found[name.strip()] = value
    return found


def dataset_options(values: Sequence[str]) -> dict[str, Any]:
    """What an upload or an import is prepared with. Raises WrongUsage."""
    found = params_in(values, option="--option")
    for name in found:
        if name not in DATASET_OPTIONS:
            similar = difflib.get_close_matches(name, DATASET_OPTIONS, n=1)
            remedy = f"Did you mean {similar[0]}?" if similar else f"The options are {', '.join(DATASET_OPTIONS)}."
            raise WrongUsage(f"There is no option {name}.", remedy)
    return found


def params_in(values: Sequence[str], *, option: str) -> dict[str, Any]:
    """As pairs_in, with values of JSON: 50, 0.1, true, [1, 2]; any other is a text."""
    return {name: _value(text) for name, text in pairs_in(values, option=option).items()}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
