"""`darkroom diff`: what changed from one dataset to another."""

from itertools import islice
from typing import Annotated

import typer

from darkroom.cli import completion, diff_views
from darkroom.cli.arguments import job_of, target_of
from darkroom.cli.command import command
from darkroom.cli.session import Session

EXAMPLES = (
    ("darkroom diff raccoons/d1 raccoons/d2", "images, boxes, classes and splits that differ"),
    ("darkroom diff raccoons/d1 raccoons/d2 --change changed", "only images whose boxes or class changed"),
    ("darkroom diff raccoons/d1 raccoons/d2 --plot diff.png", "also the most changed images, before and after"),
    ("darkroom diff raccoons/d1 raccoons/d2 --csv changes.csv", "also every difference, for a spreadsheet"),
)
Before = Annotated[
    str,
    typer.Argument(metavar="BEFORE", help="raccoons/d1, or a job's id.", autocompletion=completion.complete_dataset),
]
After = Annotated[
    str,
    typer.Argument(metavar="AFTER", help="raccoons/d2, or a job's id.", autocompletion=completion.complete_dataset),
]


def add_to(app: typer.Typer) -> None:
    command(app, "diff", panel="Datasets", examples=EXAMPLES)(diff)


def diff(
    session: Session,
    before: Before,
    after: After,
    change: Annotated[
        str | None,
        typer.Option("--change", help="added, removed, replaced, changed, moved or split: these images alone."),
    ] = None,
    plot: Annotated[str | None, typer.Option("--plot", help="Save images before and after as PNG.")] = None,
    images: Annotated[int | None, typer.Option("--images", min=1, help="How many of them.")] = None,
    csv: Annotated[str | None, typer.Option("--csv", help="Save every difference as CSV.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, help="How many images are listed.")] = 50,
) -> None:
    """Compare two datasets of one kind."""
    datasets = session.client.datasets
    jobs = job_of(session.client, before), job_of(session.client, after)
    found = datasets.diff(*jobs, change=change, limit=1)
    items = list(islice(datasets.diff_images(*jobs, change=change), limit))
    document = {"before": found.before, "after": found.after, "equal": found.equal, "summary": found.summary}
    session.out.result(document | {"items": items}, lambda: None)
    for part in diff_views.diff(found, items, change=change):
        session.out.print(part)
    for target, count in ((plot, images), (csv, None)):
        if target is not None:
            saved = datasets.draw_diff(*jobs, target_of(target) or target, images=count, change=change)
            session.out.message(f"Saved {saved}", style="dim")
