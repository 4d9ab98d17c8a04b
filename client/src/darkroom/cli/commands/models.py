"""`darkroom models` and `compare`: versions, and their figures side by side."""

import re
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from darkroom.cli import completion, version_views
from darkroom.cli.arguments import LimitOption, target_of
from darkroom.cli.command import command
from darkroom.cli.comparison import comparison_table, figures_table, matrix_table, paired_table, which_is_which
from darkroom.cli.failures import CommandFailed, WrongUsage
from darkroom.cli.session import Session

if TYPE_CHECKING:
    from darkroom.schemas import Comparison, ModelVersion

PANEL = "Models"
MAX_COMPARED = 12


def add_to(app: typer.Typer) -> None:
    command(
        app,
        "models",
        panel=PANEL,
        examples=(
            ("darkroom models", "the newest versions of all projects"),
            ("darkroom models raccoons", "the versions of a project, with their figures and aliases"),
            ("darkroom models raccoons@production", "one version: its files and figures"),
        ),
    )(models)
    command(
        app,
        "compare",
        panel=PANEL,
        examples=(
            ("darkroom compare raccoons", "all versions of a project; the best figures are marked"),
            ("darkroom compare raccoons/v2 raccoons@production", "two versions"),
            ("darkroom compare raccoons v1 v2 --plot compared.png", "also the images that v2 wins and loses"),
            ("darkroom compare raccoons --split val --metric mAP50", "on another split, and by another metric"),
        ),
    )(compare)


def models(
    session: Session,
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="A project, the id of a job, or one version.",
            autocompletion=completion.complete_model,
        ),
    ] = None,
    limit: LimitOption = 30,
) -> None:
    """List the versions of models, or print one."""
    client = session.client
    if model and ("/" in model or "@" in model):
        version = client.models.get(model)
        session.out.result(version, lambda: version_views.version(version))
        return
    if model and model.startswith("job_"):
        found = client.models.list(dataset=model)
    else:
        found = client.models.list(project=model)
    items = list(islice(found, limit))
    session.out.result({"items": items}, lambda: version_views.versions(items))


def compare(
    session: Session,
    model: Annotated[
        list[str],
        typer.Argument(
            metavar="PROJECT|MODEL...",
            help="A project, or two or more versions; after a project its v1, v2, ...",
            autocompletion=completion.complete_model,
        ),
    ],
    split: Annotated[str, typer.Option("--split", help="train, val or test.")] = "test",
    metric: Annotated[
        str | None, typer.Option("--metric", help="Of the comparison over datasets; by default the main one.")
    ] = None,
    plot: Annotated[
        str | None, typer.Option("--plot", help="Save images of the frozen test set, won and lost, as PNG.")
    ] = None,
    images: Annotated[int | None, typer.Option("--images", min=1, help="How many of them.")] = None,
) -> None:
    """Compare versions: their figures side by side, and over datasets where they were evaluated.

    Two versions of a project with a frozen test set are compared image by image too."""
    client = session.client
    model = _with_project(model)
    named = [name for name in model if "/" in name or "@" in name or name.startswith("job_")]
    if len(model) > 1 and len(named) < len(model):
        raise WrongUsage("Name one project, or several versions.", "A version is raccoons/v3 or raccoons@production.")
    if named:
        versions = [client.models.get(name) for name in named]
    else:
        versions = list(islice(client.models.list(project=model[0]), MAX_COMPARED))[::-1]
    if not versions:
        raise CommandFailed(f"{model[0]} has no versions.", f"`darkroom train {model[0]} --watch` makes one.")
    project = versions[0].project
    matrix = client.evaluations.matrix(project, split=split, metric=metric)
    names = {each.name.partition("/")[2] for each in versions}
    kept = [row for row in matrix.rows if not named or row.version.rpartition("/")[2] in names]
    document = {"split": split, "versions": versions, "matrix": replace(matrix, rows=tuple(kept))}
    compared = _on_test_set(session, versions) if named and split == "test" else None
    if compared is not None:
        document["test_set"] = compared
    session.out.result(document, lambda: figures_table(versions, split=split))
    if compared is not None and compared.figures:
        session.out.print("", comparison_table(compared))
        if compared.paired is not None:
            session.out.print("", paired_table(compared, compared.paired))
        elif compared.paired_note:
            session.out.message(compared.paired_note, style="dim")
    table = matrix_table(matrix, kept)
    if table is not None:
        session.out.print("", table)
    frozen = compared is not None and bool(compared.figures)
    trainers = {each.trainer for each in versions}
    if line := which_is_which(frozen=frozen, evaluations=table is not None, trainers=trainers):
        session.out.message(f"\n{line}", style="dim")
    if plot is not None:
        if compared is None or compared.paired is None:
            hint = "--plot takes two versions of one project with a frozen test set: darkroom test-set set PROJECT/d1"
            raise CommandFailed("There are no images to draw.", compared.paired_note if compared is not None else hint)
        first, second = (each.version for each in versions)
        saved = client.evaluations.draw_comparison(project, first, second, target_of(plot) or plot, images=images)
        session.out.message(f"Saved {saved}", style="dim")


def _with_project(names: list[str]) -> list[str]:
    """`raccoons v1 @production` as `raccoons/v1 raccoons@production`."""
    project, *others = names
    if not others or "/" in project or "@" in project or not all(re.fullmatch(r"v\d+|@.+", each) for each in others):
        return names
    return [f"{project}{'' if each.startswith('@') else '/'}{each}" for each in others]


def _on_test_set(session: Session, versions: "list[ModelVersion]") -> "Comparison | None":
    """Of two versions of one project; None where nothing is frozen, or the service is older than this client."""
    from darkroom.errors import Conflict, NotFound

    if len(versions) != 2 or versions[0].project != versions[1].project:
        return None
    try:
        first, second = (each.version for each in versions)
        return session.client.evaluations.compare(versions[0].project, first, second)
    except (Conflict, NotFound):
        return None
