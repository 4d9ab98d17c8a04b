"""`darkroom evaluate`: a version on any dataset of its kind."""

from typing import Annotated

import typer

from darkroom.cli import version_views, views
from darkroom.cli.arguments import DatasetArgument, ModelArgument, WaitOption, job_of
from darkroom.cli.command import command
from darkroom.cli.commands.runs import followed_operation
from darkroom.cli.exits import ExitCode
from darkroom.cli.session import Session

EXAMPLES = (
    ("darkroom evaluate raccoons/v3 raccoons/d2", "on the test split; images that it was trained on are named"),
    ("darkroom evaluate raccoons@production raccoons/d2 --split val", "on another split"),
)


def add_to(app: typer.Typer) -> None:
    command(app, "evaluate", panel="Models", examples=EXAMPLES)(evaluate)


def evaluate(
    session: Session,
    model: ModelArgument,
    dataset: DatasetArgument,
    split: Annotated[str, typer.Option("--split", help="train, val or test.")] = "test",
    wait: WaitOption = True,
) -> ExitCode:
    """Evaluate a version on a dataset, and print its figures.

    What was evaluated before is answered at once.
    """
    client = session.client
    version = client.models.get(model)
    operation = client.evaluations.create(job_of(client, dataset), model=version, split=split)
    if not wait:
        session.out.result(operation, lambda: views.operation(operation))
        session.out.message(f"\nFollow it: darkroom watch {operation.operation_id}", style="dim")
        return ExitCode.OK
    ended = followed_operation(session, operation)
    if ended.state != "succeeded" or not ended.result:
        session.out.result(ended, lambda: views.operation(ended))
        return ExitCode.FAILED
    found = client.evaluations.get(str(ended.result["evaluation_id"]))
    session.out.result(found, lambda: version_views.evaluation(found))
    return ExitCode.OK
