"""Evaluations by a worker whose children only pretend: published once, whatever is killed, lost or damaged."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from core.db.tables import EvaluationRow, OperationRow, VersionRow
from core.domain.keys import evaluation_key
from core.services.jobs.lifecycle import find_prepared_set
from core.services.models.evaluations import (
    EvaluationRequest,
    find_evaluation_artifact,
    get_evaluation,
    list_evaluations,
    request_evaluation,
)
from core.services.models.versions import artifacts_of
from tests.builders import published
from tests.servers.scripted_worker import ScriptedLauncher
from tests.servers.workers import Stack, child_of, small_set, stack
from worker.context import Worker
from worker.tasks.operations.operate import operate


@pytest.fixture
def line(tmp_path: Path, sqlite_url: str) -> Iterator[Stack]:
    with stack(tmp_path, sqlite_url, "") as made:
        yield made


@pytest.fixture
def version(line: Stack, tmp_path: Path) -> VersionRow:
    return published.version(line.platform, line.ready_job(small_set(tmp_path)), b"weights")


def _requested(line: Stack, version: VersionRow) -> OperationRow:
    job_id = str(version.job_id)
    return request_evaluation(line.platform, EvaluationRequest(job_id, version=job_id)).operation


def _operated(line: Stack, version: VersionRow) -> OperationRow:
    operation = _requested(line, version)
    operate(Worker(line.platform, "operations", "test", launcher=ScriptedLauncher()), operation.id)
    return line.operation(operation.id)


def _spec_of(line: Stack, row: EvaluationRow, folder: Path) -> dict[str, Any]:
    key = find_evaluation_artifact(line.platform.db, row.id, "spec.json").key
    assert key == evaluation_key(row.operation_id, line.operation(row.operation_id).attempt, "spec.json")
    line.platform.store.fetch(key, folder / "spec.json")
    spec: dict[str, Any] = json.loads((folder / "spec.json").read_text())
    return spec


def test_an_evaluation_is_made_of_a_version_a_dataset_and_image_indexes_that_are_made_where_they_are_missing(
    line: Stack, version: VersionRow, tmp_path: Path
) -> None:
    row = _operated(line, version)
    assert row.state == "succeeded", row.problem
    made = get_evaluation(line.platform.db, (row.result or {})["evaluation_id"])
    assert [made.metrics[name] for name in ("mAP50", "f1", "images")] == [0.5, None, 1], "JSON has no NaN"
    listed = made.metrics["classes"]["compared"], made.metrics["thresholds"]["classes"]
    assert [len(each) for each in listed] == [100, 100] and made.metrics["classes"]["counts"]["compared"] == 101
    spec = _spec_of(line, made, tmp_path)
    assert (spec["found"], spec["trainer"], spec["split"]) == (["best.pt", "metrics.json"], "yolo", "test")
    assert spec["trained_on"] == [spec["index"]] and spec["trained_on_known"]
    dataset = find_prepared_set(line.platform.db, str(version.fingerprint))
    assert dataset is not None and spec["sizes"] == [dataset.index_bytes] * 2, "the set keeps the index"
    assert not list((line.settings.temp / "attempts").iterdir())


def test_what_is_not_known_without_an_index_is_said_to_be_unknown(
    line: Stack, version: VersionRow, tmp_path: Path
) -> None:
    assert _operated(line, version).state == "succeeded"
    dataset = find_prepared_set(line.platform.db, str(version.fingerprint))
    assert dataset is not None and dataset.index_key is not None
    line.platform.store.delete_prefix(dataset.index_key)
    again = published.version(line.platform, str(version.job_id), b"other weights")
    row = _operated(line, again)
    spec = _spec_of(line, get_evaluation(line.platform.db, (row.result or {})["evaluation_id"]), tmp_path)
    assert (spec["index"], spec["trained_on"], spec["trained_on_known"]) == (None, [], False)


@pytest.mark.parametrize("damage", ["lost", "replaced"])
def test_a_damaged_artifact_is_never_evaluated(line: Stack, version: VersionRow, damage: str) -> None:
    key = artifacts_of(line.platform.db, [version.id])[version.id][0].key
    line.platform.store.delete_prefix(key)
    if damage == "replaced":
        published.put(line.platform, key, b"other")
    row = _operated(line, version)
    problem: dict[str, Any] = row.problem or {}
    assert (row.state, problem["slug"], problem["key"]) == ("failed", "operation-failed", key)
    assert list_evaluations(line.platform.db, cursor=None, limit=9).items == []


@pytest.mark.slow
def test_an_evaluation_is_published_once_though_its_child_and_its_worker_are_killed(
    tmp_path: Path, database_url: str, valkey_url: str
) -> None:
    with stack(tmp_path, database_url, valkey_url) as line:
        version = published.version(line.platform, line.ready_job(small_set(tmp_path)), b"weights")
        operation_id = _requested(line, version).id
        line.start("housekeeping")
        first = line.start("operations", scripted=True)
        line.until(lambda: line.operation(operation_id).stage == "predicting" and child_of(first))
        line.until(partial(child_of, first)).kill()
        line.until(lambda: line.operation(operation_id).attempt == 2 and child_of(first))
        first.kill()
        line.start("operations", scripted=True)

        row = line.ended_operation(operation_id)

        assert (row.state, row.attempt, row.lost_leases) == ("succeeded", 3, 2), line.logs()
        [made] = list_evaluations(line.platform.db, cursor=None, limit=9).items
        keys = [key for key, _ in line.platform.store.list_prefix("evaluations/")]
        assert keys == [evaluation_key(operation_id, 3, "spec.json")] and made.operation_id == operation_id
        line.until(lambda: not list((line.settings.temp / "attempts").glob("*")))
