"""The commands of `darkroom`, in the order of --help."""

from typing import Annotated, Any

import typer

from darkroom.cli.command import DEFAULTS, AsJson, Debug, Quiet, Token, Url
from darkroom.cli.commands import (
    aliases,
    corrections,
    diffs,
    doctor,
    downloads,
    evaluations,
    exports,
    imports,
    lists,
    logins,
    models,
    pages,
    predictions,
    runs,
    storage,
    test_sets,
    trainings,
    uploads,
)
from darkroom.cli.help_page import GroupPage

app = typer.Typer(
    name="darkroom",
    cls=GroupPage,
    help="Labelled images go in, models come out: datasets, trainings, models and predictions of a Darkroom service.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from darkroom import __version__

        typer.echo(f"darkroom {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    ctx: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version of the client.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    url: Url = None,
    token: Token = None,
    debug: Debug = False,
) -> None:
    given: dict[str, Any] = {"as_json": as_json, "quiet": quiet, "url": url, "token": token, "debug": debug}
    ctx.obj = DEFAULTS | given


for _module in (
    *(
        logins,
        pages,
        uploads,
        imports,
        lists,
        diffs,
        corrections,
        trainings,
        runs,
        models,
        aliases,
        exports,
        evaluations,
        downloads,
    ),
    *(test_sets, predictions, storage, doctor),
):
    _module.add_to(app)
