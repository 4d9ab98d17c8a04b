"""The command `darkroom`. Whatever needs httpx, rich or much time is imported by the command that uses it."""


def main() -> None:
    from darkroom.cli.interrupts import exit_at_once

    exit_at_once()  # loading takes long enough to be interrupted
    from darkroom.cli.app import app

    app(prog_name="darkroom")
