"""A YAML loader for plain values: standard types only, and no aliases, which can make a small file huge."""

from typing import Any

import yaml


class YamlRefused(yaml.YAMLError):
    """`detail`: what is not accepted, as a sentence; `line` is 1-based."""

    def __init__(self, detail: str, line: int) -> None:
        self.detail, self.line = detail, line
        super().__init__(detail)


class PlainLoader(yaml.SafeLoader):
    """Raises YamlRefused for an alias."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise YamlRefused("The file has an alias (`*name`), which is not accepted.", self.next_line())
        return super().compose_node(parent, index)

    def next_line(self) -> int:
        """The 1-based line of the next event."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        return int(event.start_mark.line) + 1
