"""JSON files that people read as well: UTF-8, and no value that JSON does not have."""

import json
from pathlib import Path
from typing import Any


def write_json(file: Path, content: Any, *, indent: int | None = 1) -> None:
    """`indent`: None for one line. Raises ValueError for infinity and NaN."""
    text = json.dumps(content, indent=indent, allow_nan=False, ensure_ascii=False)
    file.write_text(text + "\n", encoding="utf-8")
