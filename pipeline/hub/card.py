"""The card of a dataset in a folder: the front matter of its README, which a hub would give as JSON."""

from pathlib import Path
from typing import Any

import yaml

from core.domain.errors import HubSetUnusable

README = "README.md"
MAX_BYTES = 1024**2  # 20,000 class names; PyYAML reads about 100 KB a second


class _PlainLoader(yaml.SafeLoader):
    """Plain values alone. An alias can make a small file huge."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it has an alias (`*name`), which is never followed")
        return super().compose_node(parent, index)


def card_of(folder: Path) -> dict[str, Any]:
    """Empty where there is no README, or none with a front matter. Raises HubSetUnusable for one that is no YAML."""
    readme = folder / README
    if not readme.is_file():
        return {}
    with readme.open("rb") as file:
        text = file.read(MAX_BYTES + 1).decode("utf-8-sig", "replace")
    lines = text.splitlines()
    if not lines or lines[0].rstrip() != "---":
        return {}
    end = next((at for at, line in enumerate(lines[1:], start=1) if line.rstrip() == "---"), None)
    if end is None:
        if readme.stat().st_size > MAX_BYTES:
            raise _unusable(f"is larger than {MAX_BYTES} bytes")
        return {}
    return _read("\n".join(lines[1:end]))


def _read(text: str) -> dict[str, Any]:
    try:
        card: Any = yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - a SafeLoader without aliases
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise _unusable(f"is no YAML: {' '.join(str(error).split())[:200]}") from error
    return card if isinstance(card, dict) else {}


def _unusable(what: str) -> HubSetUnusable:
    return HubSetUnusable(f"The front matter of {README}, which says what its files are, {what}. Mend or remove it.")
