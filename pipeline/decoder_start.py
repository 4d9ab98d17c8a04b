"""How the server that decoding processes are forked from is started. Imports next to nothing: it comes first of all."""

import os
import socket
import sys

_CODE = "import sys; sys.path[:] = {path!r}; from pipeline.decoder_server import main; main()"

_ahead: list[socket.socket] = []


def fork_ahead() -> None:
    """For the first lines of a program, while it has no threads: the server imports while it does, and ends with it."""
    ours, theirs = socket.socketpair()
    if os.fork():
        theirs.close()
        _ahead.append(ours)
        return
    try:
        ours.close()
        os.dup2(theirs.fileno(), 0)
        theirs.close()
        from pipeline.decoder_server import main

        main()
    finally:
        os._exit(0)


def server() -> socket.socket:
    """The line to the one that was forked ahead; to a new one, which is no fork of ours, where there is none."""
    if _ahead:
        return _ahead.pop()
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-c", _CODE.format(path=sys.path)]
        os.posix_spawn(sys.executable, command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), 0)])
    return ours
