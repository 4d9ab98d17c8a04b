"""The command `darkroom`. Whatever needs httpx, rich or much time is imported by the command that uses it."""


def main() -> None:
    from darkroom.cli.app import app

    app(prog_name="darkroom")
