"""Writes or checks the OpenAPI document in a file: `python -m api.snapshot --write|--check FILE`."""

import json
import sys
from pathlib import Path

from api.app import describe


def main(arguments: list[str]) -> int:
    match arguments:
        case ["--write", file]:
            Path(file).write_text(snapshot())
            return 0
        case ["--check", file]:
            if Path(file).read_text() == snapshot():
                return 0
            sys.stderr.write(f"{file} differs from the code: python -m api.snapshot --write {file}\n")
            return 1
        case _:
            sys.stderr.write("usage: python -m api.snapshot --write|--check FILE\n")
            return 2


def snapshot() -> str:
    return json.dumps(describe(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
