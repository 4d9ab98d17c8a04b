"""Command lines: all that are documented parse, and a mistake is answered with what was meant."""

import json
import re
import shlex
from collections.abc import Iterator

import pytest
import typer
from typer.testing import CliRunner

from darkroom.cli.app import app
from darkroom.cli.exits import MEANINGS, ExitCode
from tests import REPOSITORY

PAGES = ("docs/command-line.md", "README.md", "client/README.md")
LINE = re.compile(r"^(?:\.venv/bin/)?(darkroom [a-z].*)$", re.MULTILINE)
GROUP = typer.main.get_command(app)
COMMANDS = GROUP.commands  # type: ignore[attr-defined]  # of a group


def documented() -> Iterator[str]:
    for page in PAGES:
        for line in LINE.findall((REPOSITORY / page).read_text(encoding="utf-8")):
            yield line.partition(" #")[0].partition(" <")[0].strip()


def examples() -> Iterator[str]:
    for command in COMMANDS.values():
        yield from (line for line, _ in command.examples)


def parse(line: str) -> None:
    """Raises a usage error where the command, an option or a value is wrong."""
    program, name, *arguments = shlex.split(line)
    with GROUP.make_context(program, [name, *arguments]) as context:
        COMMANDS[name].make_context(name, arguments, parent=context).close()


@pytest.mark.parametrize("line", sorted({*documented(), *examples()}))
def test_each_documented_line_parses(line: str) -> None:
    parse(line)


def test_the_page_has_every_command_and_the_exit_codes() -> None:
    page = (REPOSITORY / PAGES[0]).read_text(encoding="utf-8")
    lines = {line.split()[1] for line in LINE.findall(page)}
    assert lines == {name for name, command in COMMANDS.items() if not command.hidden}
    for code in ExitCode:
        assert f"| {int(code)} | {MEANINGS[code]}" in page


def test_every_page_of_help_has_examples_and_fits_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for name in COMMANDS:
        page = CliRunner().invoke(app, [name, "--help"])
        assert page.exit_code == 0
        assert "Examples" in page.stdout and f"darkroom {name}" in page.stdout
        before = page.stdout.partition("Examples")[0]
        assert max(map(len, before.splitlines())) <= 80


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("uplod x.zip", "upload"),
        ("upload x.zip --projct raccoons", "--project"),
        ("upload {here} --option sed=7", "Did you mean seed?"),
        ("predict raccoons nowhere.jpg", "There is no image nowhere.jpg"),
        ("predict raccoons image.jpg --confidence 2", "--confidence"),
        ("upload nowhere.zip", "There is no nowhere.zip"),
        ("findings raccoons@production", "is no dataset"),
        ("compare raccoons raccoons/v2", "several versions"),
        ("compare raccoons foxes", "several versions"),
        ("projects --url ftp://example.com", "ftp://example.com"),
    ],
)
def test_a_mistake_is_wrong_usage_and_says_what_was_meant(line: str, meant: str, tmp_path: object) -> None:
    done = CliRunner().invoke(app, line.format(here=tmp_path).split())
    assert (done.exit_code, done.stdout) == (ExitCode.USAGE, "")
    assert meant in done.stderr


def test_with_json_an_error_is_json_too() -> None:
    done = CliRunner().invoke(app, ["upload", "nowhere.zip", "--json"])
    assert done.stdout == ""
    assert json.loads(done.stderr) == {
        "title": "",
        "detail": "There is no nowhere.zip.",
        "remedy": "Name a ZIP, or a folder of images and labels.",
        "exit_code": 2,
    }


@pytest.mark.parametrize("line", ["projects --bogus --json", "--json projects --limit none", "uplod --json"])
def test_with_json_a_line_that_cannot_be_read_is_an_error_in_json(line: str) -> None:
    done = CliRunner().invoke(app, line.split())
    assert (done.exit_code, done.stdout) == (ExitCode.USAGE, "")
    assert json.loads(done.stderr)["exit_code"] == 2
