"""One call of a command: its options, the client of the service, and how it ends."""

import os
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from darkroom.cli.exits import ExitCode
from darkroom.cli.interrupts import raised
from darkroom.cli.output import Output
from darkroom.login import Login, resolve_login

if TYPE_CHECKING:
    from darkroom import Client

RETRIES = 2  # a person waits: a service that is down is reported after a second


class Session:
    """`url` and `token`: as options, before environment and login file."""

    def __init__(self, *, as_json: bool, quiet: bool, url: str | None, token: str | None, debug: bool) -> None:
        self.out = Output(as_json=as_json, quiet=quiet)
        self.debug = debug
        self.url, self.token = url, token

    @cached_property
    def login(self) -> Login:
        """Raises WrongUsage."""
        return login_of(self.url, self.token)

    @cached_property
    def client(self) -> "Client":
        from darkroom import Client

        return Client(self.login.url, token=self.login.token, retries=RETRIES)

    def run(self, work: Callable[[], ExitCode | None]) -> ExitCode:
        """The exit code of `work`. An error is printed; no traceback without --debug."""
        try:
            with raised():
                return work() or ExitCode.OK
        except BrokenPipeError:
            _close_stdout()
            return ExitCode.OK
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - each has its exit code
            from darkroom.cli.failures import report

            return report(self, error)
        finally:
            if "client" in self.__dict__:
                self.client.close()


def login_of(url: str | None, token: str | None) -> Login:
    """Raises WrongUsage."""
    from darkroom.cli.failures import WrongUsage

    try:
        return resolve_login(url and with_scheme(url), token)
    except ValueError as error:
        raise WrongUsage(str(error)) from error


def with_scheme(url: str) -> str:
    """`localhost:8000` as people type it."""
    return url if "://" in url else f"http://{url}"


def _close_stdout() -> None:
    """Whoever read the output has enough, as `head` does: nothing of it is flushed at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
