"""The arguments of `up` and `down`: none except --help, which lists the settings that the command reads."""

import argparse
from collections.abc import Sequence

from core.settings import PREFIX, Settings


def take_no_arguments(
    arguments: Sequence[str], *, module: str, does: str, settings: Sequence[str], read_from: str
) -> None:
    """Exits with 0 after printing the help, and with 2 for any other argument. `settings`: names of fields."""
    listed = [f"  {PREFIX}{name.upper()}  {Settings.model_fields[name].description}" for name in settings]
    argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=does,
        epilog="\n".join([f"settings, read from {read_from}:", *listed]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args(arguments)
