"""`darkroom login`, `logout`, `whoami`: which service, and with which token."""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from darkroom.cli.command import command
from darkroom.cli.exits import ExitCode
from darkroom.cli.session import Session, login_of
from darkroom.cli.tables import Facts, state, styled
from darkroom.cli.text import safe
from darkroom.login import TOKEN_VARIABLE, URL_VARIABLE, Login, read_login, remove_login, write_login

if TYPE_CHECKING:
    from darkroom.schemas import Ready, Service

PANEL = "Start"
STDIN = "-"
Address = Annotated[str | None, typer.Argument(metavar="URL", help="Address of the service.")]


def add_to(app: typer.Typer) -> None:
    command(
        app,
        "login",
        panel=PANEL,
        examples=(
            ("darkroom login http://127.0.0.1:8000", "asks for the token where the service needs one"),
            ("darkroom login https://darkroom.example.com --token -", "reads the token from stdin"),
        ),
    )(login)
    command(app, "logout", panel=PANEL, examples=(("darkroom logout", "deletes the stored token"),))(logout)
    examples = (
        ("darkroom status", "address, token, version and parts of the service"),
        ("darkroom whoami --json", "the same by its other name, for a program"),
    )
    command(app, "status", panel=PANEL, examples=examples)(status)
    command(app, "whoami", panel=PANEL, examples=examples, hidden=True)(status)


def login(session: Session, address: Address = None) -> None:
    """Store the address and the token of a service, after checking both.

    They are written to a file that only you can read. DARKROOM_URL and DARKROOM_API_TOKEN precede it.
    """
    from darkroom import Client
    from darkroom.errors import NotAuthenticated

    found = login_of(address or session.url, _given_token(session))
    url, token = found.url, found.token
    try:
        with Client(url, token=token) as client:
            service = client.service()
    except NotAuthenticated:
        if token or not sys.stdin.isatty():
            raise
        token = typer.prompt(f"API token of {url}", hide_input=True, err=True)
        with Client(url, token=token) as client:
            service = client.service()
    path = write_login(Login(url, token))
    session.out.result(
        {"url": url, "token": bool(token), "version": service.version, "file": str(path)},
        lambda: Facts({"logged in to": styled(url, "bold"), "version": service.version, "stored in": str(path)}),
    )
    for name in (URL_VARIABLE, TOKEN_VARIABLE):
        if os.environ.get(name):
            session.out.warning(f"{name} is set, and precedes the file.")


def logout(session: Session) -> None:
    """Delete the stored address and token."""
    removed = remove_login()
    session.out.result({"removed": removed}, lambda: None)
    session.out.message("Logged out." if removed else "There was no login.")


def status(session: Session) -> ExitCode:
    """Print which service is used, and how it is."""
    service, ready = session.client.service(), session.client.ready()
    document = {
        "url": session.login.url,
        "source": _source(session),
        "token": bool(session.login.token),
        "version": service.version,
        "state": ready.state,
        "checks": {name: {"state": each.state, "detail": each.detail} for name, each in ready.checks.items()},
    }
    session.out.result(document, lambda: _status(session, service, ready))
    return ExitCode.FAILED if ready.state == "failed" else ExitCode.OK


def _status(session: Session, service: "Service", ready: "Ready") -> Facts:
    facts = {
        "service": styled(session.login.url, "bold").append(f"  from {_source(session)}", "dim"),
        "token": "sent" if session.login.token else "none",
        "version": service.version,
        "state": state(ready.state),
    }
    parts = {
        safe(name): state(each.state).append(f"  {safe(each.detail)}", "default") for name, each in ready.checks.items()
    }
    return Facts(facts | parts)


def _source(session: Session) -> str:
    if session.url:
        return "--url"
    if os.environ.get(URL_VARIABLE):
        return URL_VARIABLE
    return "the login file" if read_login() else "the default"


def _given_token(session: Session) -> str:
    """Of the option, where `-` is stdin, or of the environment."""
    given = session.token or os.environ.get(TOKEN_VARIABLE) or ""
    return sys.stdin.readline().strip() if given == STDIN else given
