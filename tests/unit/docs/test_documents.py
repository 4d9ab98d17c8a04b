"""What the documents say is what the code does."""

import re
import tomllib
from pathlib import Path

import pytest

from core.domain.errors import DarkroomError, all_errors
from core.domain.version import VERSION
from core.settings import settings_table
from tests import REPOSITORY

DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


def test_the_settings_table_is_made_from_the_settings() -> None:
    text = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")
    listed = text.partition("<!-- settings: begin -->")[2].partition("<!-- settings: end -->")[0]
    assert listed.strip() == settings_table(), "run: python -m core.settings"


@pytest.mark.parametrize("error", all_errors(), ids=lambda error: error.slug)
def test_every_problem_has_a_page_that_says_what_to_do(error: type[DarkroomError]) -> None:
    text = (REPOSITORY / "docs" / "problems" / f"{error.slug}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {error.title}\n\n`{error.slug}` · ")
    assert "## What to do" in text


def test_no_page_is_left_of_a_problem_that_no_longer_exists() -> None:
    pages = {path.stem for path in (REPOSITORY / "docs" / "problems").glob("*.md")}
    assert pages == {error.slug for error in all_errors()}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)", text) + re.findall(r'src="([^"]+)"', text)
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (document.parent / target).exists()] == []


def test_every_make_target_named_in_a_document_exists() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    named = {name for path in DOCUMENTS for name in re.findall(r"`make ([a-z-]+)", path.read_text(encoding="utf-8"))}
    assert named <= targets


def test_the_version_is_the_project_s() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == VERSION
