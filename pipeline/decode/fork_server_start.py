"""How the server that decoding processes are forked from is started. Imports next to nothing: it comes first of all."""

import os
import socket
import sys

_CODE = "import sys; sys.path[:] = {path!r}; from pipeline.decode.fork_server import main; main()"

_ahead: list[tuple[socket.socket, int]] = []


def fork_ahead() -> None:
    """For the first lines of a program, while it has no threads: the server imports while it does, and ends with it."""
    ours, theirs = socket.socketpair()
    process = os.fork()
    if process:
        theirs.close()
        _ahead.append((ours, process))
        return
    try:
        ours.close()
        os.dup2(theirs.fileno(), 0)
        theirs.close()
        from pipeline.decode.fork_server import main

        main()
        os._exit(0)
    except BaseException:  # noqa: BLE001 - nothing of this process is to run what comes after us
        import traceback

        traceback.print_exc()
        os._exit(1)


def server() -> tuple[socket.socket, int]:
    """The line to the one that was forked ahead, and its process; where there is none, to a new interpreter."""
    if _ahead:
        return _ahead.pop()
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-c", _CODE.format(path=sys.path)]
        process = os.posix_spawn(
            sys.executable, command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), 0)]
        )
    return ours, process
