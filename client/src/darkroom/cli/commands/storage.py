"""`darkroom storage` and `purge`: what a project stores, and deleting what it needs no more."""

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from darkroom.cli import completion, views
from darkroom.cli.arguments import WaitOption, params_in
from darkroom.cli.command import command
from darkroom.cli.commands.runs import followed_operation
from darkroom.cli.exits import ExitCode
from darkroom.cli.failures import WrongUsage
from darkroom.cli.session import Session
from darkroom.cli.tables import Column, Rows
from darkroom.cli.text import age, size

if TYPE_CHECKING:
    from darkroom.schemas import FreeableAmount, ProjectStorage, Purge, RetentionSettings

PANEL = "Datasets"
KINDS = (
    "versions",
    "sources",
    "checkpoints",
    "dataset_exports",
    "exports",
    "bundles",
    "evaluations",
    "batch_predictions",
)
Project = Annotated[
    str, typer.Argument(metavar="PROJECT", help="Name of the project.", autocompletion=completion.complete_project)
]


def add_to(app: typer.Typer) -> None:
    command(
        app,
        "storage",
        panel=PANEL,
        examples=(
            ("darkroom storage raccoons", "bytes by kind, what could be deleted, and how long it keeps what"),
            ("darkroom storage raccoons --keep source_days=365", "sets how long this project keeps its uploads"),
            (
                "darkroom storage raccoons --keep version_days=90 --keep keep_versions=5",
                "old versions without an alias",
            ),
        ),
    )(storage)
    command(
        app,
        "purge",
        panel=PANEL,
        examples=(
            ("darkroom purge raccoons", "lists what would be deleted, and deletes nothing"),
            ("darkroom purge raccoons checkpoints bundles --yes", "deletes these kinds, for ever"),
            (
                "darkroom purge raccoons versions --keep-versions 3 --yes",
                "versions without an alias but the newest three",
            ),
        ),
    )(purge)


def storage(
    session: Session,
    project: Project,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep",
            metavar="NAME=DAYS",
            help="Such as source_days=365 or keep_versions=5; null: as long as the service. May be repeated.",
        ),
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="List the store too: metadata, plots, samples and thumbnails.")
    ] = False,
) -> None:
    """Print what a project stores, and what could be deleted."""
    client = session.client
    if keep:
        given = client.projects.get(project).settings.get("retention") or {}
        client.projects.update(project, retention=_changed(given, params_in(keep, option="--keep")))
    found = client.projects.storage(project, measure=measure)
    session.out.result(found, lambda: _print_storage(session, found))


def purge(
    session: Session,
    project: Project,
    kinds: Annotated[
        list[str] | None, typer.Argument(metavar="[KIND]...", help=f"{', '.join(KINDS)}; without --yes by default all.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete it. Without, it is only listed.")] = False,
    older_than: Annotated[
        float, typer.Option("--older-than", metavar="DAYS", min=0, help="Only what is at least so old.")
    ] = 0,
    keep_versions: Annotated[
        int | None, typer.Option("--keep-versions", metavar="N", min=1, help="The newest versions, which stay.")
    ] = None,
    wait: WaitOption = True,
) -> ExitCode:
    """List what a project needs no more, and with --yes delete it.

    What an alias points at, a test set, and what unfinished work needs is never deleted.
    """
    chosen = list(kinds or ())
    if unknown := [kind for kind in chosen if kind not in KINDS]:
        raise WrongUsage(f"There is no kind {unknown[0]}.", f"The kinds are {', '.join(KINDS)}.")
    if yes and not chosen:
        raise WrongUsage("What is to be deleted?", f"For example `darkroom purge {project} checkpoints bundles --yes`.")
    choice: dict[str, Any] = {"older_than_days": older_than, "keep_versions": keep_versions}
    found = session.client.projects.purge(project, chosen, dry_run=not yes, **choice)
    if found.operation is None:
        session.out.result(found, lambda: _print_plan(session, found, choice))
        return ExitCode.OK
    if not wait:
        session.out.result(found, lambda: _amounts(found.freeable, "is being deleted"))
        session.out.message(f"\nFollow it: darkroom watch {found.operation.operation_id}", style="dim")
        return ExitCode.OK
    ended = followed_operation(session, found.operation)
    session.out.result(ended, lambda: views.operation(ended))
    if ended.state != "succeeded" or not ended.result:
        return ExitCode.FAILED
    session.out.message(f"Deleted {ended.result['count']} of {project}: {size(ended.result['bytes'])} are free.")
    return ExitCode.OK


def _changed(given: dict[str, Any], wanted: dict[str, Any]) -> "RetentionSettings":
    from darkroom.schemas import RetentionSettings

    before = RetentionSettings(**given)
    for name, value in wanted.items():
        if name not in asdict(before):
            raise WrongUsage(f"There is no {name} to keep.", f"There are {', '.join(asdict(before))}.")
        if not isinstance(value, int | float) and (value is not None or name == "keep_versions"):
            raise WrongUsage(f"--keep {name}={value}: write a number.", f"For example --keep {name}=30.")
    return replace(before, **wanted)


def _print_storage(session: Session, found: "ProjectStorage") -> None:
    columns = (Column("kind", style="bold"), Column("objects", right=True), Column("size", right=True), Column(""))
    cells = [
        (each.kind.replace("_", " "), str(each.count), size(each.bytes), _remark(each.shared_bytes, each.unmeasured))
        for each in found.stored
        if each.count
    ]
    title = f"{found.project}: {size(found.bytes)}"
    session.out.print(Rows(columns, cells, title=title, empty="It stores nothing."), "")
    session.out.print(_amounts(found.freeable, f"could be deleted: {size(found.freeable_bytes)}"), "")
    kept = {name: value for name, value in asdict(found.retention).items() if value is not None}
    session.out.print(f"kept: {', '.join(f'{name} {value:g}' for name, value in kept.items())}")
    if found.freeable_bytes:
        session.out.message(f"`darkroom purge {found.project}` lists it item by item.", style="dim")


def _print_plan(session: Session, found: "Purge", choice: dict[str, Any]) -> None:
    columns = (
        Column("kind", style="bold"),
        Column("name", whole=True),
        Column("size", right=True),
        Column("age"),
        Column("id", whole=True, from_width=100),
    )
    cells = [
        (
            each.kind.replace("_", " "),
            each.name or "-",
            "?" if each.bytes is None else size(each.bytes),
            age(each.at),
            each.id,
        )
        for each in found.items
    ]
    session.out.print(Rows(columns, cells, empty="There is nothing to delete."))
    if (more := found.count - len(found.items)) > 0:
        session.out.print(f"... and {more} more")
    if found.items:
        session.out.print("", _amounts(found.freeable, f"would be deleted: {size(found.bytes)}"))
        kinds = " ".join(each.kind for each in found.freeable if each.count)
        options = f" --keep-versions {choice['keep_versions']}" if choice["keep_versions"] else ""
        options += f" --older-than {choice['older_than_days']:g}" if choice["older_than_days"] else ""
        session.out.message(
            f"Nothing was deleted. `darkroom purge {found.project} {kinds}{options} --yes` does it.", style="dim"
        )


def _amounts(freeable: "tuple[FreeableAmount, ...]", title: str) -> Rows:
    columns = (
        Column("kind", style="bold"),
        Column("objects", right=True),
        Column("size", right=True),
        Column("what is lost", wraps=True),
    )
    cells = [
        (each.kind.replace("_", " "), str(each.count), size(each.bytes), each.lost) for each in freeable if each.count
    ]
    return Rows(columns, cells, title=title, empty="Nothing could be deleted.")


def _remark(shared: int, unmeasured: int) -> str:
    remarks = [f"{size(shared)} shared with other projects"] if shared else []
    return ", ".join([*remarks, *([f"{unmeasured} of unknown size"] if unmeasured else [])])
