"""`darkroom open`: the page of a project, a dataset, a run or a version."""

import re
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from darkroom.cli import completion
from darkroom.cli.arguments import DATASET, JOB, dataset_of
from darkroom.cli.command import command
from darkroom.cli.failures import CommandFailed, WrongUsage
from darkroom.cli.session import Session
from darkroom.cli.text import safe
from darkroom.desktop import open_page

if TYPE_CHECKING:
    from darkroom import Client

RUN = re.compile(r"run_[0-9a-z]+")
DOCS, MLFLOW = "docs", "mlflow"


def add_to(app: typer.Typer) -> None:
    command(
        app,
        "open",
        panel="Start",
        examples=(
            ("darkroom open", "the page with all projects"),
            ("darkroom open raccoons/d2", "a dataset: its images, its findings"),
            ("darkroom open raccoons@production", "the version that answers"),
            ("darkroom open run_... --print", "prints the address of a run, and opens nothing"),
            ("darkroom open docs", "every endpoint of the API, with examples"),
            ("darkroom open raccoons/v3 --mlflow", "a version in MLflow"),
        ),
    )(open_)


def open_(
    session: Session,
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="WHAT",
            help="A project, a dataset, a run, a version, docs or mlflow; by default all projects.",
            autocompletion=completion.complete_model,
        ),
    ] = None,
    only_print: Annotated[bool, typer.Option("--print", help="Print the address, and open nothing.")] = False,
    of_mlflow: Annotated[bool, typer.Option("--mlflow", help="MLflow's page of a run or a version.")] = False,
) -> None:
    """Print the address of a page, and open it where there is a desktop.

    Nothing is opened over ssh, under CI, or with DARKROOM_OPEN=0.
    """
    if what == MLFLOW or of_mlflow:
        address = _in_mlflow(session.client, what)
    else:
        address = session.login.url.rstrip("/") + _path(session.client, what)
    session.out.result({"url": address}, lambda: None)
    session.out.print(safe(address), soft_wrap=True)
    if not only_print and not session.out.as_json:
        open_page(address)


def _path(client: "Client", what: str | None) -> str:
    """Raises CommandFailed, WrongUsage, and what the service answers about a name that it has not."""
    if what is None:
        return "/ui/"
    if what == DOCS:
        return "/docs"
    if RUN.fullmatch(what):
        return f"/ui/runs/{client.runs.get(what).run_id}"
    if JOB.fullmatch(what) or DATASET.fullmatch(what):
        return f"/ui/datasets/{dataset_of(client, what).job_id}"
    if "/" in what or "@" in what:
        version = client.models.get(what)
        return f"/ui/projects/{quote(version.project, safe='')}/versions/{version.version.removeprefix('v')}"
    return f"/ui/projects/{quote(client.projects.get(what).project, safe='')}"


def _in_mlflow(client: "Client", what: str | None) -> str:
    """Raises CommandFailed where MLflow has no such page, WrongUsage."""
    if what is None or what == MLFLOW:
        link = client.service().links.get(MLFLOW)
    elif RUN.fullmatch(what):
        run = client.runs.get(what)
        link = run.mlflow.link if run.mlflow else None
    elif "/" in what or "@" in what:
        version = client.models.get(what)
        link = (version.mlflow.version_link or version.mlflow.link) if version.mlflow else None
    else:
        raise WrongUsage(f"{what} is neither a run nor a version.", "MLflow has pages of run_..., raccoons/v3, ...")
    if not link:
        reason = f"{safe(what or MLFLOW)} has no page in MLflow: it does not mirror it."
        raise CommandFailed(reason, "`darkroom doctor` checks MLflow.")
    if not link.startswith(("http://", "https://")):
        raise CommandFailed(f"{safe(link)} is no page of the web, and is not opened.")
    return link
