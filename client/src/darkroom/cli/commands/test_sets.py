"""`darkroom test-set`: the frozen test set of a project."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from darkroom.cli import completion
from darkroom.cli.arguments import dataset_of
from darkroom.cli.command import command
from darkroom.cli.failures import WrongUsage
from darkroom.cli.session import Session
from darkroom.cli.tables import Column, Rows
from darkroom.cli.text import age

if TYPE_CHECKING:
    from darkroom.schemas import Dataset, FrozenTestSet

ACTIONS = ("set", "show", "remove")


def add_to(app: typer.Typer) -> None:
    command(
        app,
        "test-set",
        panel="Datasets",
        examples=(
            ("darkroom test-set set raccoons/d2", "freezes its test split; new datasets leave those images out"),
            ("darkroom test-set set raccoons --yes", "of its newest dataset, without a question"),
            ("darkroom test-set show raccoons", "what is frozen, and what was before"),
            ("darkroom test-set remove raccoons", "ends the freeze"),
        ),
    )(frozen_test_set)


def frozen_test_set(
    session: Session,
    action: Annotated[str, typer.Argument(metavar="ACTION", help="set, show or remove.")],
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="For set a dataset (of a project its newest), else a project.",
            autocompletion=completion.complete_dataset,
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Freeze the newest dataset without a question.")] = False,
) -> None:
    """Freeze the test split of a dataset, on which versions of its project are compared.

    Images that a later upload has in common with it, also near-duplicates, are left out and named. Of a project its
    newest dataset is meant: it is named, and a person at a terminal confirms it.
    """
    client = session.client
    if action not in ACTIONS:
        raise WrongUsage(f"{action} is no action.", f"Use one of {', '.join(ACTIONS)}.")
    if action == "set":
        dataset = dataset_of(client, name)
        if name == dataset.project:
            _confirm(session, dataset, yes=yes)
        found = client.test_sets.set(dataset.project, dataset)
        session.out.result(found, lambda: _rows([found]))
        if found.generation > 1:
            session.out.message(f"Earlier generations have ended: `darkroom test-set show {found.project}` lists them.")
        return
    project = name.partition("/")[0]
    if action == "remove":
        client.test_sets.remove(project)
        session.out.result({"removed": project}, lambda: None)
        session.out.message(f"Nothing is frozen in {project} any more.")
        return
    items = list(client.test_sets.history(project))
    session.out.result({"items": items}, lambda: _rows(items))


def _confirm(session: Session, dataset: "Dataset", *, yes: bool) -> None:
    """The user named the project alone: says which dataset is meant, and asks a person. Raises typer.Abort."""
    meant = f"the test split of {dataset.dataset}, the newest dataset of {dataset.project}"
    if yes or not can_answer(session):
        session.out.message(f"Freezing {meant}.")
        return
    typer.confirm(f"Freeze {meant}?", abort=True, err=True)


def can_answer(session: Session) -> bool:
    """Whether a person is there to answer."""
    return sys.stdin.isatty() and not session.out.as_json


def _rows(items: "list[FrozenTestSet]") -> Rows:
    columns = (
        Column("generation", right=True),
        Column("dataset", style="bold"),
        Column("test images", right=True),
        Column("frozen"),
        Column("until"),
    )
    cells = [
        [
            str(each.generation),
            each.dataset,
            str(each.images),
            age(each.created_at),
            age(each.removed_at) if each.removed_at else "in force",
        ]
        for each in items
    ]
    return Rows(columns, cells, empty="Nothing is frozen. `darkroom test-set set PROJECT/d1` freezes a test split.")
