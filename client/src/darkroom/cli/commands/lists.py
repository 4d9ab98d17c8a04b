"""`darkroom projects`, `datasets`, `jobs`, `findings`, `runs`: what there is."""

from itertools import islice
from typing import Annotated

import typer

from darkroom.cli import completion, views
from darkroom.cli.arguments import DatasetArgument, LimitOption, ProjectOption, dataset_of, job_of
from darkroom.cli.command import command
from darkroom.cli.session import Session

Project = Annotated[
    str | None,
    typer.Argument(metavar="PROJECT", help="Of this project alone.", autocompletion=completion.complete_project),
]
State = Annotated[str | None, typer.Option("--state", help="In this state alone, such as ready or running.")]


def add_to(app: typer.Typer) -> None:
    command(
        app,
        "datasets",
        panel="Datasets",
        examples=(
            ("darkroom datasets", "the newest of all projects"),
            ("darkroom datasets raccoons --state ready", "those of a project that can be trained on"),
        ),
    )(datasets)
    command(
        app,
        "jobs",
        panel="Datasets",
        examples=(
            ("darkroom jobs", "every upload and import, with its state"),
            ("darkroom jobs raccoons/d2", "one: classes, findings, fingerprint, problem"),
        ),
    )(jobs)
    command(
        app,
        "findings",
        panel="Datasets",
        examples=(
            ("darkroom findings raccoons/d2", "what is wrong with a dataset, where, and what to do"),
            ("darkroom findings raccoons/d2 --severity error --json", "errors alone, for a program"),
        ),
    )(findings)
    command(
        app,
        "projects",
        panel="Datasets",
        examples=(
            ("darkroom projects", "the newest activity first"),
            ("darkroom projects --implicit", "also those of uploads that named none"),
        ),
    )(projects)
    command(
        app,
        "runs",
        panel="Training",
        examples=(
            ("darkroom runs", "the newest trainings of all projects"),
            ("darkroom runs raccoons --state running", "those of a project that run now"),
        ),
    )(runs)


def projects(
    session: Session,
    implicit: Annotated[bool, typer.Option("--implicit", help="Also the projects of uploads that named none.")] = False,
    limit: LimitOption = 50,
) -> None:
    """List the projects."""
    items = list(islice(session.client.projects.list(implicit=implicit), limit))
    session.out.result({"items": items}, lambda: views.projects(items))


def datasets(session: Session, project: Project = None, state: State = None, limit: LimitOption = 30) -> None:
    """List the datasets."""
    items = list(islice(session.client.datasets.list(project=project, state=state), limit))
    session.out.result({"items": items}, lambda: views.datasets(items))


def jobs(
    session: Session,
    job: Annotated[
        str | None,
        typer.Argument(
            metavar="JOB", help="One job, by its id or the dataset's name.", autocompletion=completion.complete_job
        ),
    ] = None,
    project: ProjectOption = None,
    state: State = None,
    limit: LimitOption = 30,
) -> None:
    """List the jobs, which make datasets of uploads and imports; or print one."""
    if job is not None:
        found = session.client.datasets.get(job_of(session.client, job))
        session.out.result(found, lambda: views.dataset(found))
        return
    items = list(islice(session.client.datasets.list(project=project, state=state), limit))
    session.out.result({"items": items}, lambda: views.datasets(items))


def findings(
    session: Session,
    dataset: DatasetArgument,
    code: Annotated[str | None, typer.Option("--code", help="With this code alone.")] = None,
    severity: Annotated[str | None, typer.Option("--severity", help="error, warning or note.")] = None,
    limit: LimitOption = 100,
) -> None:
    """List what was found in a dataset: code, file, line and remedy."""
    client = session.client
    found = client.datasets.get(dataset) if dataset.startswith("job_") else dataset_of(client, dataset)
    items = list(islice(client.datasets.findings(found, code=code, severity=severity), limit))
    total = views.total_findings(found) if not code and not severity else None
    session.out.result({"items": items}, lambda: views.findings(items, total=total))


def runs(session: Session, project: Project = None, state: State = None, limit: LimitOption = 30) -> None:
    """List the trainings."""
    items = list(islice(session.client.runs.list(project=project, state=state), limit))
    session.out.result({"items": items}, lambda: views.runs(items))
