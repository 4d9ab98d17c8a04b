"""What crosses the process boundary: the same models write and read it, and malformed files are no result."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from core.domain.errors import Internal, OutOfSpace
from pipeline.params.prepare import PrepareOptions
from pipeline.process.child import EXIT_FAILED, run_child
from pipeline.process.results import (
    PROBLEM_FILE,
    RESULT_FILE,
    ChildProblem,
    ImportedArchive,
    RepairedArchive,
    problem_in,
    read_problem,
    read_result,
    write_result,
)
from pipeline.process.specs import FetchedFile, ImportSpec, PrepareSpec


def test_a_spec_is_read_as_it_was_written(tmp_path: Path) -> None:
    prepare = PrepareSpec(out=tmp_path, archive=tmp_path / "a.zip", options=PrepareOptions(seed=3), processes=2)
    imported = ImportSpec(out=tmp_path, files=(FetchedFile("train", "a.parquet", tmp_path / "0"),), max_bytes=9)
    for spec in (prepare, imported):
        assert type(spec).model_validate_json(spec.model_dump_json()) == spec


def test_a_spec_with_an_unknown_field_is_refused(tmp_path: Path) -> None:
    content = {"out": str(tmp_path), "archive": "a.zip", "options": {}, "processes": 1, "proceses": 2}
    with pytest.raises(ValidationError, match="proceses"):
        PrepareSpec.model_validate(content)


def test_a_result_is_read_by_its_outcome(tmp_path: Path) -> None:
    for result in (RepairedArchive(images=3, changes=1), ImportedArchive(images=2, left_out=0, classes=("cat", "dog"))):
        write_result(tmp_path, result)
        assert read_result(tmp_path) == result


@pytest.mark.parametrize("content", ["", "[]", '{"outcome": "repaired"}', '{"outcome": "stolen"}', "\ud800"])
def test_a_malformed_result_is_none(tmp_path: Path, content: str) -> None:
    assert read_result(tmp_path) is None
    (tmp_path / RESULT_FILE).write_text(content, errors="surrogatepass")
    assert read_result(tmp_path) is None


def test_a_problem_keeps_its_facts(tmp_path: Path) -> None:
    problem = ChildProblem.of(OutOfSpace("The disk is full.", needed_bytes=9))
    (tmp_path / PROBLEM_FILE).write_text(problem.model_dump_json())
    read = read_problem(tmp_path)
    assert read is not None and isinstance(read.as_error(), OutOfSpace) and read.as_error().facts == {"needed_bytes": 9}
    assert problem_in(tmp_path) == "out-of-space: The disk is full."


def test_an_unknown_slug_is_an_internal_error() -> None:
    assert isinstance(ChildProblem(slug="no-such-slug", detail="x").as_error(), Internal)


@pytest.mark.parametrize("facts", [{"detail": "twice"}, {"slug": "twice"}, [], "text"])
def test_a_malformed_problem_is_none(tmp_path: Path, facts: object) -> None:
    (tmp_path / PROBLEM_FILE).write_text(json.dumps({"slug": "no-space", "detail": "x", "facts": facts}))
    assert read_problem(tmp_path) is None


def test_a_failure_with_text_outside_utf_8_is_written_all_the_same(tmp_path: Path) -> None:
    def fail(_: object) -> None:
        raise ValueError("cl\ud800ss")

    assert run_child(tmp_path, fail, supervised=False) == EXIT_FAILED
    read = read_problem(tmp_path)
    assert read is not None and read.detail == "ValueError: cl\\ud800ss"
