"""Exports on every database: one is made once, by the attempt that holds the claim, and goes with its version."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from core import clock
from core.db.tables import BundleRow, EvaluationRow, ExportRow, OperationRow, VersionRow
from core.domain.errors import ExportNotFound, Gone, ModelNotServable, OperationFailed, VersionNotFound
from core.domain.ids import new_id
from core.domain.keys import bundle_key, evaluation_key, export_key
from core.services.context import Platform
from core.services.jobs.deletion import delete_job
from core.services.jobs.project_deletion import delete_project
from core.services.models.exports import (
    FIRST,
    ExportChoice,
    add_first_export,
    delete_export,
    get_export,
    list_exports,
    request_export,
)
from core.services.models.served import find_served
from core.services.models.versions import list_versions
from core.services.operations.commands import cancel_operation, get_operation, retry_operation
from core.services.runs.lifecycle import publish_version
from core.services.work import endings
from core.services.work.leases import Claim, ClaimLost, claim_row
from tests.builders import lineage
from tests.builders.exports import ONNX, claimed_export, export, publish_claimed
from tests.builders.rows import running_operation, running_run
from worker.tasks.retention import delete_orphans, purge_derived

INT8 = ExportChoice("onnx", "int8", max_drop=0.02)


@pytest.fixture
def version(platform: Platform) -> VersionRow:
    return lineage.version(platform, lineage.dataset(platform, "first").id, 0.9)


def _listed(platform: Platform, ref: str = "raccoons") -> tuple[list[str], list[str]]:
    found = list_exports(platform.db, ref, "v1", cursor=None, limit=9)
    return [row.id for row in found.page.items], [row.id for row in found.unfinished]


def _fail(platform: Platform, claim: Claim) -> None:
    endings.fail_attempt(platform.db, OperationRow, claim, OperationFailed("ours"))


def _beside(platform: Platform, row: ExportRow, job_id: str) -> tuple[str, str]:
    """An evaluation and a bundle of the export: the ids of their operations."""
    evaluate, bundle = (running_operation(platform, project_id=row.project_id).id for _ in range(2))
    of = {"version_id": row.version_id, "export_id": row.id, "project_id": row.project_id, "created_at": clock.now()}
    with platform.db.transaction() as session:
        session.add(
            EvaluationRow(
                **of,
                id=new_id("evaluation", clock.now_ms()),
                job_id=job_id,
                fingerprint="f" * 64,
                split="test",
                operation_id=evaluate,
                metrics={"mAP50": 0.8},
            )
        )
        key = bundle_key(bundle, 1)
        session.add(BundleRow(**of, operation_id=bundle, key=key, bytes=3, sha256="5" * 64, contents=[{"name": "a"}]))
    return evaluate, bundle


def test_the_same_export_is_made_once(platform: Platform, version: VersionRow) -> None:
    with ThreadPoolExecutor(8) as pool:
        requested = list(pool.map(lambda _: request_export(platform, "raccoons", "v1", ONNX), range(8)))
    assert len({each.operation.id for each in requested}) == 1
    assert [each.is_new for each in requested].count(True) == 1
    others = (INT8, ExportChoice("onnx", "int8"), ExportChoice("onnx", "fp32", nms="inside"))
    assert all(request_export(platform, version.job_id, "latest", other).is_new for other in others)
    claimed = claim_row(platform.db, OperationRow, requested[0].operation.id, "w", lease_seconds=60)
    assert claimed is not None
    publish_claimed(platform, claimed[0])
    again = request_export(platform, "raccoons", "v1", ONNX)
    assert (again.is_new, again.operation.id, again.operation.state) == (False, requested[0].operation.id, "succeeded")
    with pytest.raises(VersionNotFound):
        request_export(platform, "raccoons", "v2", ONNX)


def test_it_is_published_by_the_attempt_that_holds_the_claim_whether_or_not_it_passed(
    platform: Platform, version: VersionRow
) -> None:
    lost = claimed_export(platform, version)
    endings.give_back_attempt(platform.db, OperationRow, lost)
    claimed = claim_row(platform.db, OperationRow, lost.id, "w2", lease_seconds=60)
    assert claimed is not None
    with pytest.raises(ClaimLost):
        publish_claimed(platform, lost)
    row = publish_claimed(platform, claimed[0], passed=False, reasons=["Outputs differ."])
    with pytest.raises(ClaimLost):
        publish_claimed(platform, claimed[0])
    found = get_export(platform.db, "raccoons", "v1", row.id)
    assert (found.export.passed, found.export.certificate["reasons"]) == (False, ["Outputs differ."])
    assert found.export.key == export_key(lost.id, 2, "model.onnx")
    assert get_operation(platform.db, lost.id).result == {
        "export_id": row.id,
        "name": "raccoons/v1",
        "version": "v1",
        "format": "onnx",
        "precision": "fp32",
        "passed": False,
    }


def test_a_version_answers_by_its_passed_export_and_until_then_says_why_not(
    platform: Platform, version: VersionRow
) -> None:
    def reason() -> str:
        with pytest.raises(ModelNotServable) as refused:
            find_served(platform.db, "raccoons/v1")
        return refused.value.detail

    assert "has no fp32 export yet" in reason()
    request_export(platform, "raccoons", "v1", INT8)
    assert "has no fp32 export yet" in reason()
    claim = claimed_export(platform, version)
    assert "is being made" in reason()
    _fail(platform, claim)
    assert "has no fp32 export yet" in reason()
    row = publish_claimed(platform, claimed_export(platform, version))
    assert find_served(platform.db, "raccoons/v1").export_id == row.id


def test_a_list_shows_what_waits_and_what_failed_of_each_choice(platform: Platform, version: VersionRow) -> None:
    made = export(platform, version)
    failed, waiting = (
        claimed_export(platform, version, INT8),
        claimed_export(platform, version, ExportChoice("openvino", "fp32")),
    )
    _fail(platform, failed)
    assert _listed(platform) == ([made.id], [waiting.id, failed.id])
    other = lineage.imported(platform)
    of_import = claimed_export(platform, other)
    _fail(platform, of_import)
    assert [row.id for row in list_exports(platform.db, "raccoons", "v2", cursor=None, limit=9).unfinished] == [
        of_import.id
    ]
    retry_operation(platform, failed.id)
    again = claim_row(platform.db, OperationRow, failed.id, "w", lease_seconds=60)
    assert again is not None
    quantised = publish_claimed(platform, again[0])
    cancel_operation(platform.db, waiting.id)
    endings.cancel_attempt(platform.db, OperationRow, waiting)
    assert _listed(platform) == ([quantised.id, made.id], [])
    assert quantised.options == {"nms": "outside", "max_drop": 0.02}


def test_a_version_is_published_together_with_the_operation_that_makes_its_onnx(platform: Platform) -> None:
    claim = running_run(platform)
    added: list[str] = []

    def publish() -> VersionRow:
        def follow(session: Session, version: VersionRow) -> None:
            added.append(add_first_export(session, version))

        return publish_version(
            platform.db, claim, metrics={}, weights_name="best.pt", artifacts=[], log_key=None, on_commit=follow
        )

    version = publish()
    with pytest.raises(ClaimLost):
        publish()
    [operation_id] = added
    operation = get_operation(platform.db, operation_id)
    assert (operation.state, operation.kind, operation.job_id) == ("queued", "export", version.job_id)
    assert operation.params["on_publish"] and operation.target == FIRST.target(version.id)
    assert not request_export(platform, str(version.job_id), "v1", ONNX).is_new
    delete_job(platform, str(version.job_id))
    assert get_operation(platform.db, operation_id).state == "cancelled", "it is in no one's way"


def test_a_publication_that_cannot_queue_the_export_publishes_nothing(platform: Platform) -> None:
    claim = running_run(platform)

    def refuse(*_: Any) -> None:
        raise OperationFailed("no")

    with pytest.raises(OperationFailed):
        publish_version(platform.db, claim, metrics={}, weights_name="w", artifacts=[], log_key=None, on_commit=refuse)
    assert list_versions(platform.db, cursor=None, limit=9).items == []


def test_a_deleted_export_takes_its_bundle_and_leaves_a_tombstone(
    platform: Platform, version: VersionRow, tmp_path: Path
) -> None:
    row = export(platform, version)
    evaluate, bundle = _beside(platform, row, str(version.job_id))
    keys = {row.key, evaluation_key(evaluate, 1, "report.html"), bundle_key(bundle, 1)}
    _put(platform, tmp_path, *keys)
    delete_export(platform.db, "raccoons", "v1", row.id)
    for again in (delete_export, get_export):
        with pytest.raises(Gone):
            again(platform.db, "raccoons", "v1", row.id)
    with pytest.raises(ExportNotFound):
        get_export(platform.db, "raccoons", "v1", "export_none")
    purge_derived(platform)
    assert _stored(platform) == {evaluation_key(evaluate, 1, "report.html")}, "the evaluation has its own figures"
    with platform.db.reading() as session:
        kept = session.get_one(ExportRow, row.id)
        assert (kept.sha256, kept.certificate, kept.purged_at is None) == (row.sha256, {}, False)
        assert session.get_one(BundleRow, version.id).contents == []
    assert _listed(platform) == ([], [])
    assert request_export(platform, "raccoons", "v1", ONNX).is_new, "the same can be made again"


@pytest.mark.parametrize("way", ["job", "project"])
def test_what_is_made_of_a_version_goes_with_its_job_and_its_project(
    platform: Platform, version: VersionRow, tmp_path: Path, way: str
) -> None:
    imported = lineage.imported(platform)
    rows = [export(platform, version), export(platform, imported)]
    other = lineage.dataset(platform, "second")
    keys = [_beside(platform, row, str(job)) for row, job in zip(rows, (version.job_id, other.id), strict=True)]
    late = claimed_export(platform, version, INT8)
    for row, (evaluate, bundle) in zip(rows, keys, strict=True):
        _put(platform, tmp_path, row.key, evaluation_key(evaluate, 1, "m.json"), bundle_key(bundle, 1))
    if way == "job":
        delete_job(platform, str(version.job_id))
        gone, left = rows[:1], rows[1:]
    else:
        delete_project(platform, "raccoons", cancel=True)
        gone, left = rows, []
    with pytest.raises(ClaimLost):
        publish_claimed(platform, late)
    purge_derived(platform)
    assert {key.split("/")[1] for key in _stored(platform)} == {
        operation
        for row, made in zip(rows, keys, strict=True)
        if row in left
        for operation in (row.operation_id, *made)
    }
    with platform.db.reading() as session:
        purged = [session.get_one(ExportRow, row.id).purged_at is not None for row in rows]
    assert purged == [row in gone for row in rows]
    purge_derived(platform)


def test_an_evaluation_goes_with_the_dataset_it_was_made_on(platform: Platform, version: VersionRow) -> None:
    other = lineage.dataset(platform, "second")
    row = export(platform, version)
    evaluate, _ = _beside(platform, row, other.id)
    delete_job(platform, other.id)
    with platform.db.reading() as session:
        evaluation = session.query(EvaluationRow).filter_by(operation_id=evaluate).one()
        assert evaluation.deleted_at is not None and session.get_one(BundleRow, version.id).deleted_at is None
    assert _listed(platform)[0] == [row.id]


def test_files_of_living_exports_are_no_orphans(platform: Platform, version: VersionRow, tmp_path: Path) -> None:
    row = export(platform, version)
    evaluate, bundle = _beside(platform, row, str(version.job_id))
    del evaluate
    lost = export_key("operation_gone", 1, "model.onnx")
    _put(platform, tmp_path, row.key, bundle_key(bundle, 1), lost)
    impatient = platform.settings.model_copy(update={"orphan_hours": 0})
    swept = Platform(impatient, platform.db, platform.store, platform.queue)
    assert delete_orphans(swept) == [lost]


def _put(platform: Platform, folder: Path, *keys: str) -> None:
    (folder / "content").write_bytes(b"abc")
    for key in keys:
        platform.store.put(key, folder / "content")


def _stored(platform: Platform) -> set[str]:
    return {key for key, _ in platform.store.list_prefix("")}
