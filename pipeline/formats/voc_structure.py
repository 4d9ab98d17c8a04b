"""Compares an annotation with an XSD of the VOC structure (voc.xsd): text in place of elements, invalid flags."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from lxml import etree

from core.domain.findings import Finding

MAX_OF_A_FILE = 20  # the mistake of a tool repeats at every object


def structure_findings(root: Any, path: str) -> Iterator[Finding]:
    """One finding for each line. Documents with a namespace or upper-case tags are not compared."""
    if root.tag != "annotation":
        return
    schema = _schema()
    if schema.validate(root):
        return
    lines: set[int] = set()
    for error in schema.error_log:
        if error.line not in lines and len(lines) < MAX_OF_A_FILE:
            lines.add(error.line)
            yield Finding.of("xml-structure", path, " ".join(str(error.message).split())[:300], line=error.line)


@lru_cache(maxsize=1)
def _schema() -> Any:
    return etree.XMLSchema(etree.parse(str(Path(__file__).with_name("voc.xsd"))))
