"""`darkroom alias` and `rollback`: which version a name such as `production` stands for."""

from typing import TYPE_CHECKING, Annotated

import typer

from darkroom.cli import completion, version_views
from darkroom.cli.arguments import ModelArgument
from darkroom.cli.command import command
from darkroom.cli.failures import WrongUsage
from darkroom.cli.session import Session
from darkroom.cli.tables import Column, Rows
from darkroom.cli.text import age

if TYPE_CHECKING:
    from darkroom.schemas import Alias

PANEL = "Models"
PRODUCTION = "production"


def add_to(app: typer.Typer) -> None:
    command(
        app,
        "alias",
        panel=PANEL,
        examples=(
            ("darkroom alias raccoons/v3 production", "raccoons@production is v3 from now on"),
            ("darkroom alias raccoons", "the aliases of a project"),
            ("darkroom alias raccoons@production", "one, with its history"),
            ("darkroom alias raccoons@production --remove", "takes it away; the version stays"),
        ),
    )(alias)
    command(
        app,
        "rollback",
        panel=PANEL,
        examples=(
            ("darkroom rollback raccoons", "raccoons@production is again what it was before"),
            ("darkroom rollback raccoons@staging", "another alias"),
        ),
    )(rollback)


def alias(
    session: Session,
    model: ModelArgument,
    name: Annotated[str | None, typer.Argument(metavar="ALIAS", help="Such as production.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the alias away.")] = False,
) -> None:
    """Give a version a name, or list the names of a project.

    Predictions by the name follow within a second, without a lost request.
    """
    client = session.client
    project, _, known = model.partition("@")
    if known and name is None:
        if remove:
            client.aliases.remove(project, known)
            session.out.result({"removed": model}, lambda: None)
            session.out.message(f"{model} is removed.")
            return
        found = client.aliases.get(project, known)
        session.out.result(found, lambda: version_views.alias(found))
        return
    if remove:
        raise WrongUsage("--remove needs an alias.", "For example `darkroom alias raccoons@production --remove`.")
    if name is None and "/" not in model:
        items = list(client.aliases.list(project))
        session.out.result({"items": items}, lambda: _aliases(items))
        return
    if name is None:
        raise WrongUsage(f"Which alias is {model} to have?", f"For example `darkroom alias {model} production`.")
    version = client.models.get(model)
    moved = client.aliases.set(version.project, name, version.version)
    session.out.result(moved, lambda: version_views.alias(moved))


def rollback(
    session: Session,
    alias: Annotated[
        str,
        typer.Argument(
            metavar="PROJECT[@ALIAS]",
            help="By default the alias production.",
            autocompletion=completion.complete_model,
        ),
    ],
) -> None:
    """Set an alias to the version that it named before."""
    project, _, name = alias.partition("@")
    moved = session.client.aliases.rollback(project, name or PRODUCTION)
    session.out.result(moved, lambda: version_views.alias(moved))


def _aliases(items: list["Alias"]) -> Rows:
    columns = (Column("alias", style="bold"), Column("version"), Column("since"))
    cells = [(f"{each.project}@{each.alias}", each.version, age(each.updated_at)) for each in items]
    return Rows(columns, cells, empty="No aliases. `darkroom alias PROJECT/v1 production` sets one.")
