"""What an XSD of the field's own structure (voc.xsd) says of an annotation: text where elements belong, odd flags."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from lxml import etree

from core.domain.findings import Finding, Severity

MAX_OF_A_FILE = 20  # a tool that gets it wrong does so at every object


def structure_findings(root: Any, path: str) -> Iterator[Finding]:
    """One for each line. Documents with a namespace, or in capitals, are read and not compared."""
    if root.tag != "annotation":
        return
    schema = _schema()
    if schema.validate(root):
        return
    told: set[int] = set()
    for error in schema.error_log:
        if error.line not in told and len(told) < MAX_OF_A_FILE:
            told.add(error.line)
            detail = " ".join(str(error.message).split())[:300]
            remedy = "Correct it as pipeline/formats/voc.xsd describes it; it was read as far as it is clear."
            yield Finding("xml-structure", Severity.WARNING, path, detail, remedy, error.line)


@lru_cache(maxsize=1)
def _schema() -> Any:
    return etree.XMLSchema(etree.parse(str(Path(__file__).with_name("voc.xsd"))))
