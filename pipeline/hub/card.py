"""Reads the card of a dataset in a local folder: the front matter of its README, which a hub returns as JSON."""

from pathlib import Path
from typing import Any

import yaml

from core.domain.errors import HubSetUnusable
from pipeline.formats.plain_yaml import PlainLoader

README = "README.md"
MAX_CARD_BYTES = 1024**2  # 20,000 class names; PyYAML reads about 100 KB a second


def card_of(folder: Path) -> dict[str, Any]:
    """Empty for a folder with no README, or no front matter in it. Raises HubSetUnusable for invalid YAML."""
    readme = folder / README
    if not readme.is_file():
        return {}
    with readme.open("rb") as file:
        return card_in(file.read(MAX_CARD_BYTES + 1))


def card_in(content: bytes) -> dict[str, Any]:
    """Of the first MAX_CARD_BYTES and one more of a README. As `card_of`."""
    lines = content.decode("utf-8-sig", "replace").splitlines()
    if not lines or lines[0].rstrip() != "---":
        return {}
    end = next((at for at, line in enumerate(lines[1:], start=1) if line.rstrip() == "---"), None)
    if end is None:
        if len(content) > MAX_CARD_BYTES:
            raise _unusable(f"is larger than {MAX_CARD_BYTES} bytes")
        return {}
    return _read("\n".join(lines[1:end]))


def _read(text: str) -> dict[str, Any]:
    try:
        card: Any = yaml.load(text, Loader=PlainLoader)  # noqa: S506 - a SafeLoader without aliases
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise _unusable(f"is not valid YAML: {' '.join(str(error).split())[:200]}") from error
    return card if isinstance(card, dict) else {}


def _unusable(what: str) -> HubSetUnusable:
    return HubSetUnusable(f"The front matter of {README}, which describes the files, {what}. Correct or remove it.")
