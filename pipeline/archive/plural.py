"""Counts in messages for people."""


def counted(count: int, noun: str, several: str = "") -> str:
    """`1 file`, `2 files`; `several` where the plural takes more than an s."""
    return f"{count} {noun if count == 1 else several or noun + 's'}"
