"""`python -m core.db upgrade | check`: the migration step, and the check that code and migrations agree."""

import sys
import tempfile
from pathlib import Path

from core.db.migrate import drift, upgrade
from core.settings import load_settings


def main(arguments: list[str]) -> int:
    if arguments == ["upgrade"]:
        upgrade(load_settings().database)
        return 0
    if arguments == ["check"]:
        return _check()
    sys.stderr.write("usage: python -m core.db upgrade | check\n")
    return 2


def _check() -> int:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'drift.db'}"
        upgrade(url)
        found = drift(url)
    for difference in found:
        sys.stderr.write(f"{difference}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
