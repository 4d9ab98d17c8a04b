"""Exports by a worker whose children only pretend: published once, whatever is killed, lost or damaged."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from core.db.tables import OperationRow, VersionRow
from core.domain.keys import export_key
from core.services.models.exports import list_exports, request_export
from core.services.models.versions import artifacts_of
from core.services.operations.commands import list_operations, retry_operation
from tests.builders import published
from tests.builders.exports import ONNX
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


def _operated(line: Stack, version: VersionRow) -> OperationRow:
    requested = request_export(line.platform, version.project_id, "v1", ONNX)
    operate(Worker(line.platform, "operations", "test", launcher=ScriptedLauncher()), requested.operation.id)
    return line.operation(requested.operation.id)


def test_an_export_is_made_of_the_artifacts_and_the_dataset_of_its_version(
    line: Stack, version: VersionRow, tmp_path: Path
) -> None:
    row = _operated(line, version)
    assert row.state == "succeeded", row.problem
    [export] = list_exports(line.platform.db, version.project_id, "v1", cursor=None, limit=9).page.items
    assert (export.passed, export.certificate["drop"]) == (True, None), "JSON has no NaN"
    assert export.certificate["compared_on"] == version.fingerprint
    assert export.key == export_key(row.id, 1, "model.onnx")
    assert line.platform.store.fetch(export.key, tmp_path / "model.onnx").sha256 == export.sha256
    assert (tmp_path / "model.onnx").read_bytes() == b"weights"
    assert not list((line.settings.temp / "attempts").iterdir())


@pytest.mark.parametrize("damage", ["lost", "replaced"])
def test_a_damaged_artifact_is_never_exported(line: Stack, version: VersionRow, damage: str) -> None:
    key = artifacts_of(line.platform.db, [version.id])[version.id][0].key
    line.platform.store.delete_prefix(key)
    if damage == "replaced":
        published.put(line.platform, key, b"other")
    row = _operated(line, version)
    problem: dict[str, Any] = row.problem or {}
    assert (row.state, problem["slug"], problem["key"]) == ("failed", "operation-failed", key)
    listed = list_exports(line.platform.db, version.project_id, "v1", cursor=None, limit=9)
    assert (listed.page.items, [each.id for each in listed.unfinished]) == ([], [row.id])


def test_a_retry_of_what_was_made_meanwhile_makes_nothing(line: Stack, version: VersionRow) -> None:
    key = artifacts_of(line.platform.db, [version.id])[version.id][0].key
    line.platform.store.delete_prefix(key)
    failed = _operated(line, version)
    published.put(line.platform, key, b"weights")
    made = _operated(line, version)
    retry_operation(line.platform, failed.id)
    operate(Worker(line.platform, "operations", "test", launcher=ScriptedLauncher()), failed.id)
    assert line.operation(failed.id).result == made.result and made.state == "succeeded"
    assert len(list(line.platform.store.list_prefix("exports/"))) == 1


@pytest.mark.slow
def test_the_onnx_of_a_version_is_made_once_though_its_child_and_its_worker_are_killed(
    tmp_path: Path, database_url: str, valkey_url: str
) -> None:
    with stack(tmp_path, database_url, valkey_url, export_on_publish=True) as line:
        job_id = line.ready_job(small_set(tmp_path))
        line.start("housekeeping")
        line.start("train", scripted=True)
        assert line.ended_run(line.train(job_id)).state == "succeeded"
        [operation] = list_operations(line.platform.db, cursor=None, limit=9).items
        first = line.start("operations", scripted=True)
        line.until(partial(child_of, first)).kill()
        line.until(lambda: line.operation(operation.id).attempt == 2 and child_of(first))
        first.kill()
        line.start("operations", scripted=True)

        row = line.ended_operation(operation.id)

        assert (row.state, row.attempt, row.lost_leases) == ("succeeded", 3, 2), line.logs()
        [export] = list_exports(line.platform.db, job_id, "v1", cursor=None, limit=9).page.items
        assert export.key == export_key(operation.id, 3, "model.onnx")
        line.until(lambda: not list((line.settings.temp / "attempts").glob("*")))
        assert [key for key, _ in line.platform.store.list_prefix("exports/")] == [export.key]
