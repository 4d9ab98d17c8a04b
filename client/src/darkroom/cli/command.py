"""How a command is declared: the options that all share, its examples in --help, and its end for every outcome."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from darkroom.cli.exits import ExitCode
from darkroom.cli.help_page import SHARED_PANEL, CommandPage, Example
from darkroom.cli.session import Session

Function = Callable[..., ExitCode | None]

AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON on stdout, and nothing else there.", rich_help_panel=SHARED_PANEL)
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print results and errors only.", rich_help_panel=SHARED_PANEL)
]
Url = Annotated[
    str | None, typer.Option("--url", metavar="URL", help="Address of the service.", rich_help_panel=SHARED_PANEL)
]
Token = Annotated[str | None, typer.Option("--token", metavar="TOKEN", help="API token.", rich_help_panel=SHARED_PANEL)]
Debug = Annotated[bool, typer.Option("--debug", help="Print the traceback of an error.", rich_help_panel=SHARED_PANEL)]
SHARED: dict[str, Any] = {"as_json": AsJson, "quiet": Quiet, "url": Url, "token": Token, "debug": Debug}
DEFAULTS: dict[str, Any] = {"as_json": False, "quiet": False, "url": None, "token": None, "debug": False}


def command(
    app: typer.Typer, name: str, *, panel: str, examples: Sequence[Example], hidden: bool = False
) -> Callable[[Function], Function]:
    """Registers a function (session, ...) as the command `name`. `examples`: command lines, each with what it does."""

    def register(function: Function) -> Function:
        @functools.wraps(function)
        def run(ctx: typer.Context, **values: Any) -> None:
            shared = {option: values.pop(option) for option in SHARED}
            session = Session(**_merged(ctx.obj or {}, shared))
            raise typer.Exit(session.run(lambda: function(session, **values)))

        signature = inspect.signature(function, eval_str=True)
        own = list(signature.parameters.values())[1:]
        added = [
            inspect.Parameter(each, inspect.Parameter.KEYWORD_ONLY, default=DEFAULTS[each], annotation=annotation)
            for each, annotation in SHARED.items()
        ]
        context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        parameters = [context, *(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own), *added]
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]  # read by inspect
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        page = type("Page", (CommandPage,), {"examples": examples})
        app.command(name, cls=page, rich_help_panel=panel, hidden=hidden)(run)
        return function

    return register


def _merged(before: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Of an option before the command and after it: the one after it, where it was given."""
    return {name: own[name] or before.get(name) or DEFAULTS[name] for name in SHARED}
