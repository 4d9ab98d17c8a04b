"""PrepareOptions as arguments of a command line, under the names that the upload has."""

import argparse
from pathlib import Path
from typing import Literal, get_args, get_origin

from pydantic import ValidationError

from pipeline.params.prepare import SYNONYMS, PrepareOptions


def add_options(parser: argparse.ArgumentParser) -> None:
    for name, field in PrepareOptions.model_fields.items():
        choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else None
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            dest=name,
            choices=choices,
            default=None,
            help=f"{(field.description or '').replace('%', '%%')} Default: {field.default}.",
        )
    for synonym, name in SYNONYMS.items():
        help_text = f"another name for --{name.replace('_', '-')}"
        parser.add_argument(f"--{synonym.replace('_', '-')}", dest=synonym, default=None, help=help_text)
    parser.add_argument(
        "--exclude", type=Path, default=None, help="a list of frozen test images: those that match one are left out"
    )
    parser.add_argument(
        "--keeps-frozen", action="store_true", help="but for images given as test: it extends the frozen dataset"
    )
    parser.add_argument("--processes", type=int, default=None, help="processes that decode. Default: one a core.")
    parser.set_defaults(parser=parser)


def read_options(args: argparse.Namespace) -> PrepareOptions:
    """Ends the program with status 2 and a sentence for values out of range."""
    names = [*PrepareOptions.model_fields, *SYNONYMS]
    given = {name: value for name in names if (value := getattr(args, name)) is not None}
    parser: argparse.ArgumentParser = args.parser
    try:
        return PrepareOptions.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        parser.error(f"{'.'.join(map(str, first['loc'])) or 'options'}: {first['msg']}")
