"""`darkroom watch`, `logs`, `cancel`: a training, a preparation or an operation while it goes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from darkroom.cli import completion, version_views, views
from darkroom.cli.arguments import job_of
from darkroom.cli.command import command
from darkroom.cli.exits import ExitCode
from darkroom.cli.failures import WrongUsage
from darkroom.cli.next_steps import next_steps
from darkroom.cli.session import Session
from darkroom.cli.text import log_line, safe

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from darkroom.schemas import Dataset, Operation

PANEL = "Training"
LISTED = 20  # findings after a preparation; `darkroom findings` lists all
RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="The id of a training.", autocompletion=completion.complete_run)
]


def add_to(app: typer.Typer) -> None:
    command(
        app,
        "watch",
        panel=PANEL,
        examples=(
            ("darkroom watch run_01kaj8x4b1c2d3e4f5g6h7j8k9", "live metrics and a curve, until the training has ended"),
            ("darkroom watch raccoons/d2", "the preparation of a dataset"),
            ("darkroom watch run_01kaj8x4b1c2d3e4f5g6h7j8k9 --json", "every event as a line of JSON"),
        ),
    )(watch)
    command(
        app,
        "logs",
        panel=PANEL,
        examples=(
            ("darkroom logs run_01kaj8x4b1c2d3e4f5g6h7j8k9 --tail 50", "the end of the trainer's output"),
            ("darkroom logs run_01kaj8x4b1c2d3e4f5g6h7j8k9 --follow", "all of it, and what comes"),
        ),
    )(logs)
    command(
        app,
        "cancel",
        panel=PANEL,
        examples=(
            ("darkroom cancel run_01kaj8x4b1c2d3e4f5g6h7j8k9", "discards the training"),
            ("darkroom cancel run_01kaj8x4b1c2d3e4f5g6h7j8k9 --keep-best", "ends it with its best epoch as a version"),
        ),
    )(cancel)


def watch(
    session: Session,
    what: Annotated[
        str,
        typer.Argument(
            metavar="RUN|JOB|OPERATION",
            help="An id, or the name of a dataset.",
            autocompletion=completion.complete_run,
        ),
    ],
) -> ExitCode:
    """Follow a training, a preparation or an operation until it has ended.

    Ctrl-C leaves it going. With --json each event is one line.
    """
    if what.startswith("run_"):
        return watch_run(session, what)
    if what.startswith("operation_"):
        return watch_operation(session, what)
    return watch_dataset(session, session.client.datasets.get(job_of(session.client, what)))


def logs(
    session: Session,
    run: RunArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print what comes, until the training ends.")] = False,
    tail: Annotated[
        int | None, typer.Option("--tail", metavar="N", min=1, max=10_000, help="Only the last lines.")
    ] = None,
    attempt: Annotated[int | None, typer.Option("--attempt", metavar="N", min=1, help="Of an earlier attempt.")] = None,
) -> None:
    """Print the output of a training."""
    from darkroom.cli.log_lines import follow_log, read_log

    client = session.client
    lines = follow_log(client, run, tail=tail) if follow else read_log(client, run, tail=tail, attempt=attempt)
    for line in lines:
        session.out.line({"line": line})
        session.out.print(log_line(line), soft_wrap=True)


def cancel(
    session: Session,
    what: Annotated[
        str,
        typer.Argument(metavar="RUN|OPERATION", help="An id.", autocompletion=completion.complete_run),
    ],
    keep_best: Annotated[
        bool, typer.Option("--keep-best", help="End a training after this epoch, and publish its best one.")
    ] = False,
) -> None:
    """Cancel a training or an operation."""
    client = session.client
    if what.startswith("operation_") and not keep_best:
        operation = client.operations.cancel(what)
        session.out.result(operation, lambda: views.operation(operation))
        return
    if not what.startswith("run_"):
        raise WrongUsage(f"{what} is neither a run nor an operation.", "`darkroom runs` lists the ids of trainings.")
    run = client.runs.stop(what) if keep_best else client.runs.cancel(what)
    session.out.result(run, lambda: views.run(run))


def watch_run(session: Session, run_id: str) -> ExitCode:
    """Until it has ended; draws it where a person watches, else prints a line an epoch."""
    from darkroom.cli.live import draw_run

    run = session.client.runs.get(run_id)
    with come_back(session, "training", run_id):
        draw_run(session, run)
    ended = session.client.runs.get(run_id)
    if not session.out.as_json:
        session.out.print(views.outcome(ended) if session.out.is_live else views.run(ended))
        if ended.version:
            version = session.client.models.get(f"{ended.project}/v{ended.version}")
            session.out.print("", version_views.versions([version]))
            session.out.message(f"\n{next_steps(session.client.exports.list(version))}", style="dim")
    return ExitCode.OK if ended.state == "succeeded" else ExitCode.FAILED


def watch_operation(session: Session, operation_id: str) -> ExitCode:
    ended = followed_operation(session, session.client.operations.get(operation_id))
    session.out.result(ended, lambda: views.operation(ended))
    return ExitCode.OK if ended.state == "succeeded" else ExitCode.FAILED


def watch_dataset(session: Session, dataset: "Dataset") -> ExitCode:
    """Follows the preparation, and prints the dataset and what was found."""
    ended = _followed_dataset(session, dataset)
    session.out.result(ended, lambda: views.dataset(ended))
    if total := views.total_findings(ended):
        found = list(islice(session.client.datasets.findings(ended), LISTED))
        session.out.print("", views.findings(found, total=total))
    if total > LISTED:
        session.out.message(f"\nAll of them: darkroom findings {ended.job_id}", style="dim")
    if ended.state != "ready":
        return ExitCode.FAILED
    session.out.message(f"\nNext: darkroom train {ended.dataset} --watch", style="dim")
    return ExitCode.OK


def followed_operation(session: Session, operation: "Operation") -> "Operation":
    """As it ended."""
    ended = operation
    with session.out.progress() as progress, come_back(session, operation.kind, operation.operation_id):
        task = progress.add_task(operation.kind.capitalize(), total=None)
        for ended in session.client.operations.follow(operation):
            _at(progress, task, ended)
    return ended


@contextmanager
def come_back(session: Session, what: str, name: str) -> Iterator[None]:
    """Ctrl-C ends the command alone: says how to see the work again."""
    try:
        yield
    except KeyboardInterrupt:
        cancel = f", or end it: darkroom cancel {name}" if not name.startswith("job_") else ""
        session.out.message(f"The {safe(what)} goes on. Come back with: darkroom watch {name}{cancel}")
        raise


def _followed_dataset(session: Session, dataset: "Dataset") -> "Dataset":
    ended = dataset
    with session.out.progress() as progress, come_back(session, "preparation", dataset.job_id):
        task = progress.add_task("Prepare", total=None)
        for ended in session.client.datasets.follow(dataset):
            _at(progress, task, ended)
    return ended


def _at(progress: "Progress", task: "TaskID", work: "Dataset | Operation") -> None:
    at = work.progress or {}
    text = safe(work.stage or work.state).capitalize()
    progress.update(task, description=text, completed=at.get("done", 0), total=at.get("total"))
