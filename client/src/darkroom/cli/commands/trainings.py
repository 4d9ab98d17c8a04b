"""`darkroom train`: starts a training, and follows it where it is wanted."""

from typing import Annotated

import typer

from darkroom.cli import completion, views
from darkroom.cli.arguments import DatasetArgument, job_of, params_in
from darkroom.cli.command import command
from darkroom.cli.commands.runs import watch_run
from darkroom.cli.exits import ExitCode
from darkroom.cli.session import Session

EXAMPLES = (
    ("darkroom train raccoons --watch", "the newest dataset of the project, with live metrics and a curve"),
    ("darkroom train raccoons/d2 --model yolov8n --param epochs=50 --param imgsz=320", "with params of the trainer"),
    ("darkroom train raccoons --model raccoons@production --watch", "goes on from the production version"),
)


def add_to(app: typer.Typer) -> None:
    command(app, "train", panel="Training", examples=EXAMPLES)(train)


def train(
    session: Session,
    dataset: DatasetArgument,
    trainer: Annotated[
        str | None,
        typer.Option(
            "--trainer",
            help="By default the one for the dataset's kind.",
            autocompletion=completion.complete_trainer,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="Where it starts from: yolov8n, or a version such as raccoons/v3.",
            autocompletion=completion.complete_model,
        ),
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="Such as epochs=50; may be repeated.")
    ] = None,
    allow_leak: Annotated[
        bool, typer.Option("--allow-leak", help="Also on images of the frozen test set; the version says so for ever.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow it until it has ended.")] = False,
) -> ExitCode:
    """Train a model on a dataset.

    --watch draws live metrics; Ctrl-C leaves the training going.
    """
    params = params_in(param or (), option="--param") | ({"model": model} if model else {})
    client = session.client
    started = client.runs.train(job_of(client, dataset), trainer=trainer, params=params, allow_leak=allow_leak or None)
    if watch:
        return watch_run(session, started.run_id)
    session.out.result(started, lambda: views.run(started))
    session.out.message(f"\nFollow it: darkroom watch {started.run_id}", style="dim")
    return ExitCode.OK
