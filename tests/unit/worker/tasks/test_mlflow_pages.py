"""What people read in MLflow, without an MLflow."""

from datetime import UTC, datetime
from typing import Any

import pytest

from core.db.tables import JobRow, ProjectRow, RunRow, VersionRow
from core.services.models.mlflow_rows import Mirrored
from worker.tasks.mlflow_copies import numbers_in
from worker.tasks.mlflow_pages import project_page, results_table, run_page, version_page

URL = "https://darkroom.example/"
SPLIT = {"boxes": 52, "mAP50-95": 0.7, "mAP50": None, "per_class": {"star": {"f1": 1.0}}, "images": 1260, "f1": 0.5}


def rows(*, version: dict[str, Any] | None = None, parent: str | None = None, **run: Any) -> Mirrored:
    project = ProjectRow(id="project_1", slug="raccoons", title="Raccoons", description="")
    job = JobRow(id="job_1", name="data.zip", revision=2, images=1200)
    values = {"params": {"model": "yolov8n.pt"}, "state": "running", "problem": None, "attempt": 1} | run
    running = RunRow(id="run_00000000000007m1x9k", job_id="job_1", trainer="yolo", fingerprint="f" * 64, **values)
    published = {"artifacts": [], "metrics": {}, "origin": "run", "trainer": "yolo", "created_at": datetime.now(UTC)}
    row = VersionRow(id="version_1", job_id="job_1", number=3, **published | version) if version is not None else None
    return Mirrored(project, job, running, row, parent)


@pytest.mark.parametrize(
    ("model", "name"),
    [("yolov8n.pt", "yolov8n"), ("google/vit-base-patch16-224", "vit-base-patch16-224"), (None, "yolo")],
)
def test_a_run_is_called_by_its_model_and_its_version(model: str | None, name: str) -> None:
    params = {"params": {"model": model}}
    assert run_page(rows(**params), public_url="").name == f"{name} · run 7m1x9k"
    assert run_page(rows(version={}, **params), public_url="").name == f"{name} · v3"
    assert run_page(rows(version={}, parent="raccoons/v2", **params), public_url="").name == "from v2 · v3"
    assert run_page(rows(version={}, parent="foxes/v2", **params), public_url="").name == "from foxes/v2 · v3"


def test_a_description_begins_with_the_results_and_links_to_the_report() -> None:
    version = {"metrics": {"val": None, "test": SPLIT, "speed": 1}, "artifacts": [{"name": "report.html"}]}
    page = version_page(rows(version=version), public_url=URL)
    headline, origin, links, table = page.note.split("\n\n")
    assert headline == "mAP50-95 0.700, f1 0.500 on test"
    assert origin == "**raccoons/v3**: yolov8n, trained with yolo on raccoons/d2 (1,200 images)."
    assert links.startswith("[Report](https://darkroom.example/models/job_1/v3/artifacts/report.html) · [Version](")
    assert table.splitlines()[2:4] == ["| mAP50-95 | &emsp;0.700 |", "| f1 | &emsp;0.500 |"]
    assert "](" not in version_page(rows(version=version), public_url="").note, "no link that leads nowhere"


def test_a_description_says_what_of_the_frozen_test_set_was_trained_on() -> None:
    leak = {"generation": 1, "images": 12, "train": 6, "val": 6, "examples": []}
    for page in (
        run_page(rows(leak=leak), public_url=""),
        version_page(rows(version={"leak": leak}, leak=leak), public_url=""),
    ):
        assert "trained on 6 images of the frozen test set (generation 1), and 6 more, in val, chose" in page.note


def test_a_table_has_a_column_for_each_split_that_was_measured() -> None:
    table = results_table({"test": SPLIT, "val": SPLIT | {"f1": None}}).splitlines()
    assert table[0] == "|  | &emsp;test | &emsp;val |" and "| f1 | &emsp;0.500 | &emsp;– |" in table
    assert table[-1] == "| images | &emsp;1,260 | &emsp;1,260 |"
    assert results_table({}) == results_table({"test": None}) == ""


def test_thresholds_are_flat_numbers_in_mlflow_and_no_split_of_its_tables() -> None:
    sources = {"star": "all"}
    thresholds = {"all": 0.4, "source": "val", "classes": {"star": 0.35}, "sources": sources}
    measured = {"f1": 0.5, "at_threshold": {"f1": 0.75, "recall": None}}
    metrics = {"val": None, "test": measured, "thresholds": thresholds}
    assert numbers_in(metrics) == [
        (("test", "at_threshold", "f1"), 0.75),
        (("test", "f1"), 0.5),
        (("thresholds", "all"), 0.4),
        (("thresholds", "classes", "star"), 0.35),
    ]
    assert results_table(metrics).splitlines()[0] == "|  | &emsp;test |"


def test_a_failed_run_has_its_reason_without_effect_as_markdown() -> None:
    problem = {"slug": "diverged", "detail": "The loss of [a](b)\n*became* infinite."}
    page = run_page(rows(state="failed", problem=problem), public_url="")
    assert page.note.endswith("Failed: The loss of \\[a\\](b) \\*became\\* infinite.")
    assert page.tags["problem"] == "diverged" and page.tags["mlflow.source.name"] == "Darkroom, yolo"


def test_a_project_has_its_title_its_description_and_a_link() -> None:
    project = ProjectRow(id="project_1", slug="raccoons", title="*R*", description="Goal: **0.9**")
    note = "\\*R\\*\n\nGoal: **0.9**\n\n[raccoons in Darkroom](https://darkroom.example/projects/raccoons)"
    assert project_page(project, public_url=URL).note == note
