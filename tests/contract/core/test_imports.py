"""Importing versions on every database: published once or not at all, by the attempt that holds the claim."""

from pathlib import Path
from typing import Any

import pytest

from core.db.tables import ArtifactRow, OperationRow, ProjectRow, VersionRow
from core.domain.errors import Gone, JobNotFound, JobNotReady, ProjectIsImplicit, ProjectKindMismatch
from core.domain.keys import imported_artifact_key
from core.services.context import Platform
from core.services.jobs.project_deletion import delete_project
from core.services.models.imports import (
    ModelSource,
    evaluation_set,
    import_version,
    importing_project,
    publish_import,
)
from core.services.models.versions import find_version, list_versions
from core.services.operations.commands import cancel_operation, get_operation, new_operation_id
from core.services.projects.lookup import join_project
from core.services.runs.lifecycle import PublishedArtifact
from core.services.work import endings, leases
from core.services.work.leases import Claim, ClaimLost
from tests.builders.rows import publish, ready_job, received_job, running_run
from worker.tasks.retention import erase_deleted_jobs

SOURCE = ModelSource("best.pt", 3, "a" * 64)


@pytest.fixture
def project(platform: Platform) -> ProjectRow:
    with platform.db.transaction() as session:
        return join_project(session, "raccoons")


def _claimed(platform: Platform, project: ProjectRow) -> Claim:
    row = import_version(platform, project, new_operation_id(), SOURCE)
    return _claim(platform, row.id)


def _claim(platform: Platform, operation_id: str) -> Claim:
    claimed = leases.claim_row(platform.db, OperationRow, operation_id, "w", lease_seconds=60)
    assert claimed is not None
    return claimed[0]


def _publish(platform: Platform, claim: Claim, *, kind: str = "detection", **given: Any) -> VersionRow:
    key = imported_artifact_key(claim.id, claim.attempt, "best.pt")
    artifact = PublishedArtifact("best.pt", key, 3, "b" * 64, "application/octet-stream")
    return publish_import(
        platform.db,
        claim,
        trainer="yolo",
        kind=kind,
        metrics=given.get("metrics", {}),
        weights_name="best.pt",
        artifacts=[artifact],
    )


def test_an_import_takes_the_next_number_of_its_project(platform: Platform, project: ProjectRow) -> None:
    trained = publish(platform, running_run(platform, ready_job(platform, project="raccoons").id))
    claim = _claimed(platform, project)
    imported = _publish(platform, claim)
    assert (trained.number, imported.number) == (1, 2)
    assert (imported.origin, imported.job_id, imported.run_id, imported.fingerprint) == ("imported", None, None, None)
    operation = get_operation(platform.db, claim.id)
    assert (operation.state, (operation.result or {})["name"]) == ("succeeded", "raccoons/v2")
    assert find_version(platform.db, "raccoons").id == imported.id
    assert _publish(platform, _claimed(platform, project)).number == 3


def test_it_is_published_once_and_by_the_newest_attempt_alone(platform: Platform, project: ProjectRow) -> None:
    lost = _claimed(platform, project)
    endings.give_back_attempt(platform.db, OperationRow, lost)
    newest = _claim(platform, lost.id)
    with pytest.raises(ClaimLost):
        _publish(platform, lost)
    version = _publish(platform, newest)
    with pytest.raises(ClaimLost):
        _publish(platform, newest)
    assert [row.id for row in list_versions(platform.db, cursor=None, limit=9, ref="raccoons").items] == [version.id]
    assert _publish(platform, _claimed(platform, project)).number == 2, "a lost publication takes no number"


def test_a_cancelled_import_publishes_nothing(platform: Platform, project: ProjectRow) -> None:
    claim = _claimed(platform, project)
    cancel_operation(platform.db, claim.id)
    with pytest.raises(ClaimLost):
        _publish(platform, claim)
    assert list_versions(platform.db, cursor=None, limit=9, ref="raccoons").items == []


def test_the_kind_of_the_first_version_is_that_of_the_project(platform: Platform, project: ProjectRow) -> None:
    _publish(platform, _claimed(platform, project), kind="classification")
    with pytest.raises(ProjectKindMismatch):
        _publish(platform, _claimed(platform, project), kind="detection")
    assert len(list_versions(platform.db, cursor=None, limit=9, ref="raccoons").items) == 1
    job = ready_job(platform)
    with pytest.raises(ProjectKindMismatch):
        evaluation_set(platform.db, importing_project(platform.db, "raccoons"), job.id)


def test_the_dataset_is_one_that_is_ready(platform: Platform, project: ProjectRow) -> None:
    waiting = received_job(platform, project="raccoons")
    with pytest.raises(JobNotReady):
        evaluation_set(platform.db, project, "d1")
    with pytest.raises(JobNotFound):
        evaluation_set(platform.db, project, "d2")
    ready = ready_job(platform, project="raccoons")
    assert evaluation_set(platform.db, project, "d2").job_id == ready.id != waiting.id


def test_a_project_of_one_upload_takes_no_import(platform: Platform) -> None:
    job = ready_job(platform)
    with pytest.raises(ProjectIsImplicit):
        importing_project(platform.db, job.project_id)


def test_a_deleted_project_gets_no_version_and_its_imports_are_purged(
    platform: Platform, project: ProjectRow, tmp_path: Path
) -> None:
    claim, late = _claimed(platform, project), _claimed(platform, project)
    version = _publish(platform, claim)
    key = imported_artifact_key(claim.id, claim.attempt, "best.pt")
    (tmp_path / "best.pt").write_bytes(b"abc")
    platform.store.put(key, tmp_path / "best.pt")
    delete_project(platform, "raccoons", cancel=True)
    with pytest.raises(Gone):
        _publish(platform, late)
    endings.cancel_attempt(platform.db, OperationRow, late)
    erase_deleted_jobs(platform)
    assert platform.store.head(key) is None
    with platform.db.reading() as session:
        assert session.get(ArtifactRow, (version.id, "best.pt")) is None
        kept = session.get_one(VersionRow, version.id)
    assert (kept.number, kept.params, kept.artifacts[0]["sha256"]) == (1, {}, "b" * 64)
