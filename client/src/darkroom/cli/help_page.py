"""The pages of --help: usage, what it does, arguments, options, examples; for `darkroom` itself, all commands."""

import json
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand, TyperGroup

from darkroom.cli.exits import MEANINGS, ExitCode

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

Example = tuple[str, str]

SHARED_PANEL = "Options of every command"
MAX_WIDTH = 100
GRAMMAR = (
    ("raccoons", "a project: its newest ready dataset, or its production version, else the latest"),
    ("raccoons/d2", "a dataset"),
    ("raccoons/v3", "a version"),
    ("raccoons@production", "the version that an alias names"),
    ("job_..., run_...", "ids, as lists print them"),
)


class CommandPage(TyperCommand):
    examples: Sequence[Example] = ()

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - rich writes it
        parameters = [each for each in self.get_params(ctx) if not getattr(each, "hidden", False)]
        arguments = [each for each in parameters if each.param_type_name == "argument"]
        options = [each for each in parameters if each.param_type_name == "option"]
        usage = " ".join([ctx.command_path, *(_argument(each) for each in arguments), "[OPTIONS]"])
        _print_page(usage, self.help or "", _parameter_sections(arguments, options), self.examples)


class GroupPage(TyperGroup):
    def main(self, args: Sequence[str] | None = None, *more: Any, **named: Any) -> Any:
        """With --json a line that cannot be read is an error in JSON too."""
        given = sys.argv[1:] if args is None else args
        if "--json" not in given:
            return super().main(args, *more, **named)
        try:
            code = super().main(given, *more, **named | {"standalone_mode": False})
        except Exception as error:  # the errors of click: typer brings its own copy of them, or uses the package
            if not hasattr(error, "format_message"):
                raise
            document = {"title": "", "detail": error.format_message(), "remedy": "--help lists what the command takes."}
            sys.stderr.write(json.dumps(document | {"exit_code": int(ExitCode.USAGE)}) + "\n")
            code = ExitCode.USAGE
        sys.exit(code)

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - rich writes it
        panels: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                panel = str(getattr(command, "rich_help_panel", ""))
                panels.setdefault(panel, []).append((name, _summary(command.help or "")))
        options = [each for each in self.get_params(ctx) if each.param_type_name == "option"]
        sections = [*panels.items(), *_parameter_sections([], options)]
        sections.append(("Names", list(GRAMMAR)))
        sections.append(("Exit codes", [(str(int(code)), meaning) for code, meaning in MEANINGS.items()]))
        _print_page(f"{ctx.command_path} COMMAND [OPTIONS]", self.help or "", sections, EXAMPLES)


EXAMPLES: Sequence[Example] = (
    ("darkroom upload raccoons.zip --project raccoons", "labelled images go in"),
    ("darkroom train raccoons --watch", "a model comes out"),
    ("darkroom predict raccoons photo.jpg", "and goes to work"),
    ("darkroom doctor", "where something does not work"),
)


def _parameter_sections(arguments: Sequence[Any], options: Sequence[Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    shared = [each for each in options if getattr(each, "rich_help_panel", None) == SHARED_PANEL]
    own = [each for each in options if each not in shared]
    sections = (
        ("Arguments", [(_argument(each), each.help or "") for each in arguments]),
        ("Options", [(_option(each), _explained(each)) for each in own]),
        (SHARED_PANEL, [(_option(each), _explained(each)) for each in shared]),
    )
    return [(title, rows) for title, rows in sections if rows]


def _print_page(
    usage: str, text: str, sections: Sequence[tuple[str, Sequence[tuple[str, str]]]], examples: Sequence[Example]
) -> None:
    from rich.text import Text

    from darkroom.cli.output import console_of

    console = console_of(sys.stdout)
    console.width = min(console.width, MAX_WIDTH)
    console.print(Text.assemble(("Usage: ", "dim"), (usage, "bold")))
    for paragraph in text.split("\n\n"):
        console.print("", " ".join(paragraph.split()), sep="\n")
    width = max((len(name) for _, rows in sections for name, _ in rows), default=0)
    for title, rows in sections:
        console.print("", Text(title, style="bold yellow"), _listed(rows, min(width, 30)), sep="\n")
    console.print("", Text("Examples", style="bold yellow"), *_example_lines(examples), sep="\n")


def _listed(rows: Sequence[tuple[str, str]], width: int) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=0)
    table.add_column(style="cyan", width=width, overflow="fold")
    table.add_column()
    for name, text in rows:
        table.add_row("", Text(name), Text(text))
    return table


def _example_lines(examples: Sequence[Example]) -> Iterator["Text"]:
    from rich.text import Text

    for line, what in examples:
        yield Text.assemble("  ", line)
        yield Text(f"      {what}", style="dim")


def _argument(parameter: Any) -> str:
    name = parameter.metavar or parameter.name.upper()
    return str(name) if parameter.required else f"[{name}]"


def _option(parameter: Any) -> str:
    if parameter.is_flag:
        return " / ".join([", ".join(_long_last(parameter.opts)), *parameter.secondary_opts])
    return f"{', '.join(_long_last(parameter.opts))} {parameter.metavar or parameter.name.upper()}"


def _long_last(names: Sequence[str]) -> list[str]:
    return sorted(names, key=len)


def _explained(parameter: Any) -> str:
    text = parameter.help or ""
    if parameter.name == "help":
        return "Print this page."
    default = parameter.default
    if parameter.is_flag or default is None or default == () or callable(default) or str(default) in ("", "./"):
        return text
    return f"{text} [default: {default}]"


def _summary(text: str) -> str:
    """The first sentence, without its full stop."""
    return " ".join(text.split("\n\n")[0].split()).rstrip(".")
