"""What the exit codes of every command mean."""

from enum import IntEnum


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    UNAUTHORIZED = 4
    INTERRUPTED = 130


MEANINGS = {
    ExitCode.OK: "done",
    ExitCode.FAILED: "the service refused, or the work failed",
    ExitCode.USAGE: "wrong usage",
    ExitCode.UNREACHABLE: "the service does not answer",
    ExitCode.UNAUTHORIZED: "the token is missing or wrong",
    ExitCode.INTERRUPTED: "interrupted; work of the service goes on",
}
