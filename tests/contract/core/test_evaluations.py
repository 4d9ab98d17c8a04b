"""Evaluations on every database: each is made once, published by the attempt that holds the claim, and goes with what
it is about."""

from typing import Any

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from core import clock
from core.db.tables import DatasetRow, JobRow, OperationRow, TestSetRow, VersionRow
from core.domain.errors import (
    ArtifactNotFound,
    EvaluationKindMismatch,
    EvaluationNotFound,
    ExportNotFound,
    ExportNotPassed,
    Gone,
    JobInUse,
    JobNotFound,
    JobNotReady,
    OperationFailed,
    VersionNotFound,
)
from core.services.context import Platform
from core.services.jobs.deletion import delete_job
from core.services.maintenance.recovery import oldest_waiting
from core.services.models import evaluations
from core.services.models.evaluation_inputs import evaluation_inputs
from core.services.models.evaluation_overviews import evaluation_overviews
from core.services.models.evaluations import EvaluationRequest, request_evaluation
from core.services.models.first_evaluation import add_first_evaluation
from core.services.models.versions import set_alias
from core.services.operations.commands import cancel_operation, get_operation
from core.services.projects.lookup import give_kind, join_project
from core.services.runs.lifecycle import publish_version
from core.services.work import endings
from core.services.work.leases import Claim, ClaimLost
from tests.builders import lineage
from tests.builders.evaluated import REPORT, claimed, export, published
from tests.builders.rows import claimed_job, complete, received_job, running_run

METRICS = {"mAP50": 0.8, "images": 10}


@pytest.fixture
def version(platform: Platform) -> VersionRow:
    return lineage.version(platform, lineage.dataset(platform, "first").id, 0.9)


def _request(platform: Platform, dataset: str = "raccoons/d1", **request: Any) -> OperationRow:
    request.setdefault("version", None if "export" in request else "raccoons/v1")
    return request_evaluation(platform, EvaluationRequest(dataset, **request)).operation


def _publish(platform: Platform, claim: Claim) -> str:
    return published(platform, claim, METRICS).id


def _evaluated(platform: Platform, dataset: str = "raccoons/d1", **request: Any) -> str:
    return _publish(platform, claimed(platform, _request(platform, dataset, **request).id))


def test_the_same_evaluation_is_made_once_and_the_finished_one_is_returned(
    platform: Platform, version: VersionRow
) -> None:
    first = _request(platform)
    assert _request(platform, version=version.job_id, split="test").id == first.id, "the same version by another name"
    assert _request(platform, split="val").id != first.id
    made = _publish(platform, claimed(platform, first.id))
    assert _request(platform).id == first.id
    operation = get_operation(platform.db, first.id)
    assert (operation.state, operation.job_id, operation.project_id) == (
        "succeeded",
        version.job_id,
        version.project_id,
    )
    assert operation.result == {"evaluation_id": made, "name": "raccoons/v1"}
    evaluations.delete_evaluation(platform.db, made)
    assert _request(platform).id != first.id, "a deleted one is made again"


def test_a_version_has_many_names_and_a_dataset_two(platform: Platform, version: VersionRow) -> None:
    newest = lineage.version(platform, str(version.job_id), 0.95)
    set_alias(platform.db, "raccoons", "production", version="v1")
    for name, wanted in (
        *(("raccoons", version), ("raccoons@production", version), ("v1", version), ("@production", version)),
        *(("raccoons/v2", newest), ("raccoons/latest", newest), (str(version.job_id), newest)),
        *((f"{version.job_id}/v1", version), (f"{version.job_id}@production", version)),
    ):
        assert _request(platform, version=name).params["version_id"] == wanted.id, name
    assert _request(platform, str(version.job_id)).params["dataset"] == "raccoons/d1"
    for name, error in (("yolov8n.pt", VersionNotFound), ("raccoons/v3", VersionNotFound), ("job_1", JobNotFound)):
        with pytest.raises(error):
            _request(platform, version=name)
    for name in ("raccoons/d2", "d1", "raccoons", "job_1"):
        with pytest.raises(JobNotFound):
            _request(platform, name)


def test_the_dataset_is_ready_and_of_the_kind_of_the_model(platform: Platform, version: VersionRow) -> None:
    with pytest.raises(JobNotReady):
        _request(platform, received_job(platform, project="raccoons").id)
    elsewhere = claimed_job(platform, project="otters")
    complete(platform, elsewhere)
    assert _request(platform, "otters/d1").project_id == version.project_id, "any dataset of the same kind"
    other = complete(platform, claimed_job(platform))
    with platform.db.transaction() as session:
        join_project(session, "posters")
        give_kind(session, str(join_project(session, "posters").id), "classification")
    imported = lineage.imported(platform, project="posters")
    assert other is not None and imported.number == 1
    with pytest.raises(EvaluationKindMismatch, match=r"posters/v1 is for classification; .* for detection"):
        _request(platform, other.id, version="posters/v1")


def test_an_export_that_did_not_pass_is_evaluated_only_by_force(platform: Platform, version: VersionRow) -> None:
    passed, failed = (export(platform, version, passed=each) for each in (True, False))
    operation = _request(platform, export=passed.id)
    assert (operation.params["version_id"], operation.params["name"]) == (version.id, "raccoons/v1 onnx int8")
    assert operation.id != _request(platform).id, "its version is another target"
    with pytest.raises(ExportNotPassed):
        _request(platform, export=failed.id)
    assert _request(platform, export=failed.id, force=True).params["export_id"] == failed.id
    with pytest.raises(ExportNotFound):
        _request(platform, export="export_none")
    made = _publish(platform, claimed(platform, operation.id))
    (overview,) = evaluation_overviews(platform.db, [evaluations.get_evaluation(platform.db, made)])
    assert (overview.row.export_id, overview.export) == (passed.id, "onnx int8")
    assert (overview.project, overview.number, overview.dataset_project, overview.revision) == ("raccoons", 1) * 2


def test_it_is_published_once_and_by_the_newest_attempt_alone(platform: Platform, version: VersionRow) -> None:
    lost = claimed(platform, _request(platform).id)
    endings.give_back_attempt(platform.db, OperationRow, lost)
    newest = claimed(platform, lost.id)
    with pytest.raises(ClaimLost):
        _publish(platform, lost)
    made = _publish(platform, newest)
    with pytest.raises(ClaimLost):
        _publish(platform, newest)
    cancelled = claimed(platform, _request(platform, split="val").id)
    cancel_operation(platform.db, cancelled.id)
    with pytest.raises(ClaimLost):
        _publish(platform, cancelled)
    listed = evaluations.list_evaluations(platform.db, cursor=None, limit=9, version="raccoons/v1").items
    assert [(row.id, row.version_id, row.metrics) for row in listed] == [(made, version.id, METRICS)]
    assert evaluations.find_evaluation_artifact(platform.db, made, "report.html").bytes == len(REPORT)
    with pytest.raises(ArtifactNotFound):
        evaluations.find_evaluation_artifact(platform.db, made, "weights.pt")


def test_it_is_not_published_when_its_version_was_deleted_meanwhile(platform: Platform, version: VersionRow) -> None:
    other = lineage.dataset(platform, "second")
    claim = claimed(platform, _request(platform, other.id).id)
    delete_job(platform, str(version.job_id))
    with pytest.raises(OperationFailed):
        _publish(platform, claim)
    with pytest.raises(Gone):
        _request(platform, other.id)
    assert get_operation(platform.db, claim.id).state == "running", "it fails as the worker writes it"


def test_lists_are_filtered_and_a_deleted_one_answers_gone(platform: Platform, version: VersionRow) -> None:
    second = lineage.dataset(platform, "second")
    ids = [_evaluated(platform), _evaluated(platform, split="val")]
    elsewhere = lineage.dataset(platform, "third", project="otters")
    lineage.version(platform, elsewhere.id, 0.7)

    def found(**filters: Any) -> list[str]:
        return [row.id for row in evaluations.list_evaluations(platform.db, cursor=None, limit=9, **filters).items]

    assert found() == found(project="raccoons") == found(job_id=version.job_id) == ids[::-1]
    assert found(project="raccoons", version="v1", split="test") == ids[:1]
    assert found(split="val") == ids[1:] and found(project="otters") == found(job_id=second.id) == []
    evaluations.delete_evaluation(platform.db, ids[0])
    for call in (evaluations.get_evaluation, evaluations.delete_evaluation):
        with pytest.raises(Gone):
            call(platform.db, ids[0])
        with pytest.raises(EvaluationNotFound):
            call(platform.db, "evaluation_none")
    assert found() == ids[1:]


def _trained_on(platform: Platform, version: VersionRow) -> tuple[list[str], bool]:
    params = {"version_id": version.id, "export_id": None, "job_id": "", "fingerprint": ""}
    with platform.db.reading() as session:
        job = session.execute(select(JobRow).where(JobRow.deleted_at.is_(None)).limit(1)).scalar_one()
    found = evaluation_inputs(platform.db, params | {"job_id": job.id, "fingerprint": job.fingerprint}).trained_on
    return sorted(each.name for each in found.sets), found.is_known


def test_what_a_version_was_trained_on_is_that_of_its_parents_too(platform: Platform, version: VersionRow) -> None:
    second, third = lineage.dataset(platform, "second"), lineage.dataset(platform, "third")
    child = lineage.version(platform, third.id, 0.9, parent=lineage.version(platform, second.id, 0.9, parent=version))
    assert _trained_on(platform, child) == (["raccoons/d1", "raccoons/d2", "raccoons/d3"], True)
    of_import = lineage.version(platform, third.id, 0.9, parent=lineage.imported(platform))
    assert _trained_on(platform, of_import) == (["raccoons/d3"], False), "what the imported one has seen is not known"
    with platform.db.transaction() as session:
        session.execute(update(VersionRow).where(VersionRow.id == version.id).values(params={"mode": "zero-shot"}))
    assert _trained_on(platform, version) == ([], True), "it was trained on nothing"
    delete_job(platform, second.id)
    with platform.db.transaction() as session:
        session.execute(update(JobRow).where(JobRow.id == second.id).values(fingerprint=None))
        session.execute(delete(DatasetRow).where(DatasetRow.fingerprint == second.fingerprint))
    assert _trained_on(platform, child) == (["raccoons/d3"], False), "a set is deleted"


def _published(platform: Platform, job_id: str, metrics: dict[str, Any]) -> tuple[VersionRow, str | None]:
    """A version, and the operation that was queued with it; no message says so."""
    added: list[str | None] = []

    def follow(session: Session, row: VersionRow) -> None:
        added.append(add_first_evaluation(session, row))

    run = running_run(platform, job_id)
    row = publish_version(
        platform.db, run, metrics=metrics, weights_name="best.pt", artifacts=[], log_key=None, on_commit=follow
    )
    return row, added[0]


def test_a_trained_version_is_evaluated_once_by_itself_after_all_that_somebody_waits_for(platform: Platform) -> None:
    job = lineage.dataset(platform, "first")
    row, queued = _published(platform, job.id, {"val": METRICS, "test": METRICS})
    assert queued is not None and oldest_waiting(platform.db, "operate") == queued, "also where its message is lost"
    operation = get_operation(platform.db, queued)
    assert (operation.params["version_id"], operation.params["split"]) == (row.id, "test")
    later = _request(platform, split="val")
    assert oldest_waiting(platform.db, "operate") == later.id
    assert oldest_waiting(platform.db, "operate", but_not=[later.id]) == queued

    requested = request_evaluation(platform, EvaluationRequest("raccoons/d1", version="raccoons/v1"))
    assert (requested.operation.id, requested.is_new) == (queued, False)
    assert oldest_waiting(platform.db, "operate") == queued, "from now on somebody waits for it"
    cancel_operation(platform.db, later.id)
    with pytest.raises(JobInUse):
        delete_job(platform, job.id)


def test_an_evaluation_that_nobody_requested_is_in_no_ones_way(platform: Platform) -> None:
    job = lineage.dataset(platform, "first")
    _, queued = _published(platform, job.id, {"val": METRICS, "test": METRICS})
    delete_job(platform, job.id)
    assert queued is not None and get_operation(platform.db, queued).state == "cancelled"


def test_the_images_of_that_evaluation_are_those_by_which_versions_are_compared(platform: Platform) -> None:
    first, second = (lineage.dataset(platform, name) for name in ("first", "second"))
    assert _published(platform, first.id, {"val": METRICS, "test": None})[1] is not None
    found = [get_operation(platform.db, str(_published(platform, first.id, {"val": METRICS})[1])).params["split"]]
    with platform.db.transaction() as session:
        session.add(
            TestSetRow(
                project_id=first.project_id,
                generation=1,
                job_id=first.id,
                fingerprint=str(first.fingerprint),
                images=3,
                key="test-sets/1",
                bytes=1,
                sha256="0" * 64,
                created_at=clock.now(),
            )
        )
    frozen = get_operation(platform.db, str(_published(platform, second.id, {"val": METRICS, "test": METRICS})[1]))
    assert (found, frozen.job_id, frozen.params["split"]) == (["val"], first.id, "test")
    with platform.db.transaction() as session:
        session.execute(update(JobRow).where(JobRow.id == first.id).values(fingerprint=None))
    published_without, nothing = _published(platform, second.id, {"test": METRICS})
    assert (published_without.number, nothing) == (4, None), "it is published whatever is in the way"
