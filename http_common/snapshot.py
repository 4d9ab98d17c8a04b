"""The OpenAPI document of a service in a file: written, or compared with the code."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def main(arguments: Sequence[str], document: dict[str, Any], *, module: str) -> int:
    """`module`: what is run with `arguments`, `--write FILE` or `--check FILE`."""
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    match arguments:
        case ["--write", file]:
            Path(file).write_text(text)
            return 0
        case ["--check", file]:
            if Path(file).read_text() == text:
                return 0
            sys.stderr.write(f"{file} differs from the code: python -m {module} --write {file}\n")
            return 1
        case _:
            sys.stderr.write(f"usage: python -m {module} --write|--check FILE\n")
            return 2
