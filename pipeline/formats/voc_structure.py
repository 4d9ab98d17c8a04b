"""What an XSD of the field's own structure (voc.xsd) says of an annotation: text where elements belong, odd flags."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from lxml import etree

from core.domain.findings import Finding

MAX_OF_A_FILE = 20  # a tool that gets it wrong does so at every object


def structure_findings(root: Any, path: str) -> Iterator[Finding]:
    """One for each line. Documents with a namespace, or in capitals, are read and not compared."""
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
