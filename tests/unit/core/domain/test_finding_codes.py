"""Every code that the code can give is in the catalogue, and the page is made from it."""

import ast

from core.domain.finding_codes import FINDING_CODES, SECTIONS, findings_page
from tests import REPOSITORY

PREFIXES = {code.partition("-")[0] for code in FINDING_CODES}
# Words of the same shape that are no codes.
OTHER = {"mpl-data", "too-large"}


def _kebab_strings() -> set[str]:
    found: set[str] = set()
    for path in (REPOSITORY / "pipeline").rglob("*.py"):
        if not path.is_relative_to(REPOSITORY / "pipeline" / "trainers"):
            tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            found |= {node.value for node in tree if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {text for text in found if text.replace("-", "").isalpha() and text.islower() and "-" in text.strip("-")}


def test_the_catalogue_has_exactly_the_codes_of_the_code() -> None:
    given = {text for text in _kebab_strings() if text.partition("-")[0] in PREFIXES} - OTHER
    assert given == set(FINDING_CODES)


def test_no_code_is_in_two_sections() -> None:
    assert sum(len(codes) for codes in SECTIONS.values()) == len(FINDING_CODES)


def test_the_page_is_made_from_the_catalogue() -> None:
    page = (REPOSITORY / "docs" / "findings.md").read_text(encoding="utf-8")
    assert page == findings_page(), "run: python -m core.domain.finding_codes > docs/findings.md"
