"""The catalogue has every code of a finding, and the page is generated from it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.domain.finding_codes import FINDING_CODES, SECTIONS, findings_page
from core.domain.findings import Finding, Severity
from tests import REPOSITORY

PREFIXES = {code.partition("-")[0] for code in FINDING_CODES}
# Words of the same form that are not codes.
OTHER = {
    "label-studio",
    "label-studio-choices",
    "oxford-pet",
    "mpl-data",
    "parquet-classes",
    "too-large",
    "image-classification",
}


PACKAGES = ("api", "core", "pipeline", "worker")


def _code_files() -> Iterator[Path]:
    for package in PACKAGES:
        yield from (REPOSITORY / package).rglob("*.py")


def _kebab_strings() -> set[str]:
    found: set[str] = set()
    for path in [*(REPOSITORY / "pipeline").rglob("*.py"), REPOSITORY / "api" / "uploads" / "preflight.py"]:
        if not path.is_relative_to(REPOSITORY / "pipeline" / "trainers"):
            tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            found |= {node.value for node in tree if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {text for text in found if text.replace("-", "").isalpha() and text.islower() and "-" in text.strip("-")}


def test_the_catalogue_has_exactly_the_codes_that_are_used() -> None:
    given = {text for text in _kebab_strings() if text.partition("-")[0] in PREFIXES} - OTHER
    assert given == set(FINDING_CODES)


def test_no_code_is_in_two_sections() -> None:
    assert sum(len(codes) for codes in SECTIONS.values()) == len(FINDING_CODES)


def test_the_page_is_generated_from_the_catalogue() -> None:
    page = (REPOSITORY / "docs" / "findings.md").read_text(encoding="utf-8")
    assert page == findings_page(), "run: python -m core.domain.finding_codes > docs/findings.md"


def test_a_finding_takes_severity_and_remedy_from_the_catalogue() -> None:
    finding = Finding.of("image-empty", "a.jpg", "The file has no bytes.", line=3)
    entry = FINDING_CODES["image-empty"]
    assert (finding.severity, finding.remedy, finding.line) == (entry.severity, entry.remedy, 3)


def test_a_finding_with_an_unknown_code_is_refused() -> None:
    with pytest.raises(KeyError, match="image-odd"):
        Finding.of("image-odd", "a.jpg", "It is odd.")


def test_a_stored_finding_is_read_as_it_was_stored() -> None:
    stored = Finding.of("image-empty", "a.jpg", "The file has no bytes.").as_dict() | {"remedy": "An older remedy."}
    finding = Finding.from_dict({**stored, "severity": "error"})
    assert finding.as_dict() == stored
    assert isinstance(finding.severity, Severity)


def test_no_finding_bypasses_the_catalogue() -> None:
    """`Finding(...)` could differ from it: outside its own module a finding is made by `of` or `from_dict`."""
    calls = [
        f"{path.relative_to(REPOSITORY)}:{node.lineno}"
        for path in _code_files()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding"
    ]
    assert calls == []


def test_every_meaning_and_remedy_is_a_sentence() -> None:
    texts = [text for entry in FINDING_CODES.values() for text in (entry.meaning, entry.remedy)]
    assert [text for text in texts if not text.endswith(".")] == []
