"""`darkroom corrections`: what is wrong with single images of a dataset, and the next dataset without it."""

import json
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from darkroom.cli import views
from darkroom.cli.arguments import DatasetArgument, LimitOption, WaitOption, dataset_of
from darkroom.cli.command import command
from darkroom.cli.commands.runs import watch_dataset
from darkroom.cli.exits import ExitCode
from darkroom.cli.failures import WrongUsage
from darkroom.cli.session import Session
from darkroom.cli.tables import Column, Rows
from darkroom.cli.text import age, counted, safe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from darkroom.schemas import Correction

ACTIONS = ("list", "add", "discard", "apply")


def add_to(app: typer.Typer) -> None:
    command(
        app,
        "corrections",
        panel="Datasets",
        examples=(
            ("darkroom corrections add raccoons/d2 --image a/17.jpg --label fox", "the class of one image"),
            ("darkroom corrections add raccoons/d2 --file fixes.json", "many: a list as in the request"),
            ("darkroom corrections list raccoons/d2", "drafts, and those that were applied"),
            ("darkroom corrections apply raccoons/d2", "the next dataset, with all drafts"),
        ),
    )(corrections)


def corrections(
    session: Session,
    action: Annotated[str, typer.Argument(metavar="ACTION", help="list, add, discard or apply.")],
    dataset: DatasetArgument,
    file: Annotated[Path | None, typer.Option("--file", help="A JSON list of corrections, to add.")] = None,
    image: Annotated[str | None, typer.Option("--image", help="Path of an image in the dataset.")] = None,
    label: Annotated[str | None, typer.Option("--label", help="The class that the image is to have.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="The image is to be taken out.")] = False,
    accept: Annotated[bool, typer.Option("--accept", help="The image is right as it is.")] = False,
    note: Annotated[str, typer.Option("--note", help="Why.")] = "",
    author: Annotated[str, typer.Option("--author", help="Who makes them.")] = "",
    new_classes: Annotated[bool, typer.Option("--new-classes", help="Accept classes that are new.")] = False,
    state: Annotated[str | None, typer.Option("--state", help="List draft or applied ones alone.")] = None,
    limit: LimitOption = 50,
    wait: WaitOption = True,
) -> ExitCode:
    """Correct labels and boxes of single images, and make the next dataset of the corrections."""
    if action not in ACTIONS:
        raise WrongUsage(f"{safe(action)} is no action.", f"Use one of {', '.join(ACTIONS)}.")
    found = dataset_of(session.client, dataset)
    client = session.client.corrections
    if action == "list":
        items = list(islice(client.list(found, state=state, image=image), limit))
        session.out.result(items, lambda: _rows(items))
    elif action == "add":
        new = _from_file(file) if file else [_of_one(image, label, remove=remove, accept=accept, note=note)]
        saved = client.add(found, new, author=author, new_classes=new_classes)
        session.out.result(saved, lambda: None)
        session.out.message(
            f"{counted(saved.saved, 'draft')} saved, {saved.drafts} in all. Make the next dataset of them:"
        )
        session.out.message(f"darkroom corrections apply {found.dataset}")
    elif action == "discard":
        for each in client.list(found, state="draft", image=image) if image else ():
            client.discard(found, each)
        if image is None:
            client.discard(found)
    else:
        made = client.apply(found, wait=False)
        if wait:
            return watch_dataset(session, made)
        session.out.result(made, lambda: views.dataset(made))
    return ExitCode.OK


def _of_one(image: str | None, label: str | None, *, remove: bool, accept: bool, note: str) -> dict[str, Any]:
    changes: dict[str, Any] = {"label": label, "remove": remove or None, "accept": accept or None}
    given = {name: value for name, value in changes.items() if value is not None}
    if image is None or len(given) != 1:
        raise WrongUsage("Nothing to add.", "Give --image with one of --label, --remove and --accept; or --file.")
    return {"image": image, **given, "note": note}


def _from_file(file: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise WrongUsage(f"{safe(file)} cannot be read: {safe(error)}.", "Give a JSON list of corrections.") from error
    items = content.get("corrections") if isinstance(content, dict) else content
    if not isinstance(items, list):
        raise WrongUsage(f"{safe(file)} has no list of corrections.", "Give a JSON list of corrections.")
    return items


def _rows(items: "Sequence[Correction]") -> Rows:
    columns = (
        Column("image", style="bold"),
        Column("change"),
        Column("author", from_width=90),
        Column("note", from_width=110),
        Column("state"),
        Column("applied to", from_width=130),
        Column("changed", from_width=80),
    )
    cells = [
        (
            each.image,
            _change(each),
            each.author or "-",
            each.note or "-",
            each.state,
            each.applied_to or "-",
            age(each.updated_at),
        )
        for each in items
    ]
    return Rows(columns, cells, empty="No corrections.")


def _change(each: "Correction") -> str:
    if each.boxes is not None:
        return counted(len(each.boxes), "box", plural="boxes")
    return each.label or ("remove" if each.remove else "accept")
