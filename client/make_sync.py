"""`python client/make_sync.py`: write `darkroom._sync` from `darkroom._async`, which is its source.

The runtime (`runtime.py`) is written by hand for each.
"""

import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent / "src" / "darkroom"
SOURCE, GENERATED = PACKAGE / "_async", PACKAGE / "_sync"
BY_HAND = "runtime.py"

# In this order.
RULES = (
    (r"\bAwaitable\[(\w+)\]", r"\1"),
    (r"\bAwaitable, ", ""),
    (r"\basync (def|for|with)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\basynccontextmanager\b", "contextmanager"),
    (r"\b__a(enter|exit)__\b", r"__\1__"),
    (r"\ba(close|read|iter_lines|iter_bytes)\b", r"\1"),
    (r"\b_async\b", "_sync"),
    (r"\bAsync(\w+)", r"\1"),
)
HEADER = "# Written by client/make_sync.py from darkroom._async: change that, then run it.\n"


def main() -> None:
    for name, text in generated().items():
        (GENERATED / name).write_text(text, encoding="utf-8")


def generated() -> dict[str, str]:
    """The files of `darkroom._sync` by name, formatted."""
    sources = sorted(path for path in SOURCE.glob("*.py") if path.name != BY_HAND)
    return {path.name: _formatted(HEADER + _without_async(path.read_text(encoding="utf-8"))) for path in sources}


def _without_async(text: str) -> str:
    for pattern, replacement in RULES:
        text = re.sub(pattern, replacement, text)
    return text


def _formatted(text: str) -> str:
    for command in (["check", "--quiet", "--fix", "--unsafe-fixes", "--select", "I,UP028"], ["format"]):
        file = ["--stdin-filename", str(GENERATED / "generated.py"), "-"]
        text = subprocess.run(
            [sys.executable, "-m", "ruff", *command, *file], input=text, capture_output=True, text=True, check=True
        ).stdout
    return text


if __name__ == "__main__":
    main()
