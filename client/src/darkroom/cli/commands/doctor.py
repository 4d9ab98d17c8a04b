"""`darkroom doctor`: what is not right with this installation, and what to do."""

from typing import TYPE_CHECKING

import typer

from darkroom.cli.command import command
from darkroom.cli.exits import ExitCode
from darkroom.cli.session import Session
from darkroom.cli.tables import state
from darkroom.cli.text import counted, safe

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from darkroom.cli.checkup import Check

INDENT = 24  # of the third column
EXAMPLES = (
    ("darkroom doctor", "checks this computer, the service, its workers, disks and predictions"),
    ("darkroom doctor --url https://darkroom.example.com", "another service"),
    ("darkroom doctor --json", "the same for a program; exit code 1 where a check fails"),
)


def add_to(app: typer.Typer) -> None:
    command(app, "doctor", panel="Service", examples=EXAMPLES)(_doctor)


def _doctor(session: Session) -> ExitCode:
    """Check this installation, and say how to repair it.

    Each line is ok, warn or fail, with a remedy. It works against a service that is down, too.
    """
    from darkroom.cli.checkup import Check
    from darkroom.cli.checkup.local import local_checks
    from darkroom.cli.checkup.remote import remote_checks

    checks: list[Check] = []
    for source in (local_checks, remote_checks):
        for check in source(session.login):
            checks.append(check)
            session.out.print(_line(check))
            if check.remedy:
                # In one line, however long: it may hold a command to copy.
                session.out.print(_remedy(check), soft_wrap=True)
    failed = sum(check.state == "fail" for check in checks)
    warned = sum(check.state == "warn" for check in checks)
    session.out.result({"ok": not failed, "checks": checks}, lambda: _summary(failed, warned))
    return ExitCode.FAILED if failed else ExitCode.OK


def _line(check: "Check") -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    line = Table.grid(padding=(0, 2, 0, 0))
    line.add_column(width=4)
    line.add_column(width=16, style="bold")
    line.add_column(overflow="fold")
    line.add_row(state(check.state), Text(safe(check.name)), Text(safe(check.detail)))
    return line


def _remedy(check: "Check") -> "Text":
    from rich.text import Text

    return Text(f"{' ' * INDENT}-> {safe(check.remedy)}", style="cyan")


def _summary(failed: int, warned: int) -> "Text":
    from rich.text import Text

    if failed:
        return Text(f"\n{counted(failed, 'check')} failed.", style="bold red")
    if warned:
        return Text(f"\nIt works, with {counted(warned, 'warning')}.", style="bold yellow")
    return Text("\nAll is well.", style="bold green")
