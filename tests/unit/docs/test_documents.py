"""The documents agree with the code."""

import re
import tomllib
from pathlib import Path

import pytest

from core.domain.errors import DarkroomError, all_errors
from core.domain.version import VERSION
from core.settings import settings_table
from pipeline.params.prepare import PrepareOptions
from tests import REPOSITORY

DOCUMENTS = [REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


def test_the_settings_table_is_generated_from_the_settings() -> None:
    text = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")
    listed = text.partition("<!-- settings: begin -->")[2].partition("<!-- settings: end -->")[0]
    assert listed.strip() == settings_table(), "run: python -m core.settings"


def test_the_page_of_the_api_lists_every_option_of_an_upload() -> None:
    lines = (REPOSITORY / "docs" / "api.md").read_text(encoding="utf-8").splitlines()
    (row,) = [line for line in lines if line.startswith("| `POST /upload-dataset` |")]
    assert [name for name in PrepareOptions.model_fields if f"`{name}`" not in row] == []


@pytest.mark.parametrize("error", all_errors(), ids=lambda error: error.slug)
def test_every_problem_has_a_page_with_its_remedy(error: type[DarkroomError]) -> None:
    text = (REPOSITORY / "docs" / "problems" / f"{error.slug}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {error.title}\n\n`{error.slug}` · ")
    assert "## What to do" in text


def test_every_page_belongs_to_a_problem() -> None:
    pages = {path.stem for path in (REPOSITORY / "docs" / "problems").glob("*.md")}
    assert pages == {error.slug for error in all_errors()}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_between_documents_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)", text) + re.findall(r'src="([^"]+)"', text)
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (document.parent / target).exists()] == []


def test_every_decision_is_listed_once_in_order() -> None:
    decisions = sorted((REPOSITORY / "docs" / "decisions").glob("[0-9]*.md"))
    listed = re.findall(
        r"\]\((\d{4}-[\w-]+\.md)\)", (REPOSITORY / "docs/decisions/README.md").read_text(encoding="utf-8")
    )
    assert len(decisions) > 18
    assert [path.name for path in decisions] == listed


def test_every_file_named_in_a_document_exists() -> None:
    pattern = r"`((?:api|benchmarks|core|deploy|docs|migrations|pipeline|tests|worker)/[\w/.-]+)`"
    current = [path for path in DOCUMENTS if path.name != "CHANGELOG.md"]
    named = {name for path in current for name in re.findall(pattern, path.read_text(encoding="utf-8"))}
    assert len(named) > 15
    assert sorted(name for name in named if not (REPOSITORY / name).exists()) == []


def test_every_make_target_named_in_a_document_exists() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    named = {name for path in DOCUMENTS for name in re.findall(r"`make ([a-z-]+)", path.read_text(encoding="utf-8"))}
    assert {"demo", "up", "check", "test"} <= named <= targets


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == VERSION
