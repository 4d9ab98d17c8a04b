"""The little Markdown that the problem pages use, as HTML: headings, paragraphs, lists, code. Everything is escaped."""

import re
from collections.abc import Sequence
from html import escape
from itertools import groupby

_CODE = re.compile(r"`([^`]+)`")
_HEADING = re.compile(r"(#{1,3}) (.*)")
_BULLETS = ("- ", "* ")


def html_of(text: str) -> str:
    blocks = re.split(r"\n\s*\n", text)
    return "\n".join(_block(block.strip("\n")) for block in blocks if block.strip())


def _block(block: str) -> str:
    if heading := _HEADING.fullmatch(block):
        level = len(heading.group(1))
        return f"<h{level}>{_inline(heading.group(2))}</h{level}>"
    lines = block.splitlines()
    if lines[0].startswith("```"):
        code = "\n".join(line for line in lines if not line.startswith("```"))
        return f"<pre>{escape(code)}</pre>"
    parts = groupby(lines, key=lambda line: line.startswith(_BULLETS))
    return "".join(_list(list(part)) if bullets else f"<p>{_inline(' '.join(part))}</p>" for bullets, part in parts)


def _list(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{_inline(line[2:])}</li>' for line in lines)}</ul>"


def _inline(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(text))
