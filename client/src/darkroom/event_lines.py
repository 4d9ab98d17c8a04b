"""The lines of an event stream, read into messages (HTML standard, server-sent events)."""

from __future__ import annotations


class EventLines:
    """`last_id` is that of the last message that arrived whole: from there a stream is continued."""

    def __init__(self, last_id: str) -> None:
        self.last_id = self._id = last_id
        self._data: list[str] = []

    def data_after(self, line: str) -> str:
        """The data of the message that this line ends; empty where it ends none."""
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            self._id = value
        elif name == "data":
            self._data.append(value)
        if line:
            return ""
        self.last_id, data, self._data = self._id, "\n".join(self._data), []
        return data
