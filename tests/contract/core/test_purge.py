"""What can be deleted of a project on every database, and what never is."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from core import clock
from core.db.tables import (
    BatchPredictionArtifactRow,
    CorrectionRow,
    JobRow,
    OperationRow,
    RunRow,
    TestSetRow,
    VersionRow,
)
from core.domain.errors import Gone
from core.domain.keys import upload_key
from core.domain.retention import FreeableKind
from core.domain.states import JobState
from core.services.context import Platform
from core.services.jobs.commands import job_in
from core.services.jobs.corrections import NewCorrection, discard_corrections, save_corrections
from core.services.jobs.deletion import delete_job
from core.services.jobs.repair import repair_job
from core.services.maintenance.retention import forget_old_sources, named_keys
from core.services.models.batch_predictions import BatchOptions, delete_batch, request_batch
from core.services.models.batch_sources import BatchImages
from core.services.models.evaluations import EvaluationRequest, request_evaluation
from core.services.models.versions import find_version, remove_alias, set_alias
from core.services.operations.commands import cancel_operation
from core.services.runs.commands import cancel_run
from core.services.storage.purge import PurgeChoice, empty_result, plan_purge, purge_some, request_purge
from core.services.storage.usage import project_usage
from core.services.work.endings import cancel_attempt
from core.services.work.leases import ClaimLost, record_checkpoint
from tests.builders import lineage
from tests.builders.evaluated import REPORT, claimed, evaluation, export
from tests.builders.rows import running_run

SLUG = lineage.SLUG


def names(platform: Platform, *kinds: FreeableKind, keep: int = 1, days: float = 0.0) -> list[str]:
    choice = PurgeChoice(kinds or list(FreeableKind), keep_versions=keep, older_than_days=days)
    items = plan_purge(platform.db, SLUG, choice, cursor=None, limit=100).items.items
    return [str(each.name) for each in items]


def purge(platform: Platform, *kinds: FreeableKind, keep: int = 1) -> dict[str, Any]:
    """By the transactions of the operation, without objects. Returns its result."""
    plan = request_purge(platform, SLUG, PurgeChoice(kinds, keep_versions=keep), limit=100)
    assert plan.operation is not None
    claim, result = claimed(platform, plan.operation.id), empty_result()
    for kind in FreeableKind:
        while kind in kinds:
            done = purge_some(platform.db, claim, kind, plan.scope, deleted=[], total=0)
            if done is None:
                break
            result = dict(done)
    return result


def test_a_purge_that_lost_its_claim_deletes_nothing(platform: Platform, versions: list[VersionRow]) -> None:
    plan = request_purge(platform, SLUG, PurgeChoice([FreeableKind.VERSIONS], keep_versions=1), limit=9)
    assert plan.operation is not None
    claim = claimed(platform, plan.operation.id)
    with pytest.raises(ClaimLost):
        later = replace(claim, attempt=claim.attempt + 1)
        purge_some(platform.db, later, FreeableKind.VERSIONS, plan.scope, deleted=[], total=0)
    assert names(platform, FreeableKind.VERSIONS) == [f"{SLUG}/v1", f"{SLUG}/v2"]


@pytest.fixture
def versions(platform: Platform) -> list[VersionRow]:
    """v1, v2, v3 of d1; there is a d2."""
    job = lineage.dataset(platform, "first")
    made = [lineage.version(platform, job.id, 0.9) for _ in range(3)]
    lineage.dataset(platform, "second")
    return made


def test_a_version_is_kept_by_an_alias_by_its_age_and_by_work(platform: Platform, versions: list[VersionRow]) -> None:
    only = FreeableKind.VERSIONS
    assert names(platform, only) == [f"{SLUG}/v1", f"{SLUG}/v2"]
    assert names(platform, only, keep=2) == [f"{SLUG}/v1"]
    assert names(platform, only, days=1) == []
    set_alias(platform.db, SLUG, "production", version="v1")
    assert names(platform, only) == [f"{SLUG}/v2"]
    remove_alias(platform.db, SLUG, "production")

    child = lineage.run(platform, str(versions[0].job_id), parent=versions[0])
    assert names(platform, only) == [f"{SLUG}/v2"]
    cancel_run(platform.db, child.id)
    evaluating = request_evaluation(platform, EvaluationRequest(f"{SLUG}/d2", version=f"{SLUG}/v2")).operation
    assert names(platform, only) == [f"{SLUG}/v1"]
    cancel_operation(platform.db, evaluating.id)
    assert names(platform, only) == [f"{SLUG}/v1", f"{SLUG}/v2"]


def test_a_purged_version_leaves_a_tombstone_and_takes_what_was_made_of_it(
    platform: Platform, versions: list[VersionRow]
) -> None:
    kept = evaluation(platform, f"{SLUG}/d2", {"mAP50": 0.5}, version=f"{SLUG}/v3")
    made = evaluation(platform, f"{SLUG}/d2", {"mAP50": 0.5}, version=f"{SLUG}/v1")
    passed = export(platform, versions[0])
    choice = PurgeChoice([FreeableKind.VERSIONS], keep_versions=1)
    planned = plan_purge(platform.db, SLUG, choice, cursor=None, limit=1).amounts[FreeableKind.VERSIONS]

    result = purge(platform, FreeableKind.VERSIONS)

    assert (result["count"], result["bytes"]) == (planned.count, planned.bytes) == (2, 2 * 5 + 1 + len(REPORT))
    with pytest.raises(Gone):
        find_version(platform.db, SLUG, version="v1")
    assert find_version(platform.db, SLUG).number == 3
    with platform.db.reading() as session:
        rows = [session.get_one(type(row), row.id) for row in (kept, made, passed)]
        assert [row.deleted_at is None for row in rows] == [True, False, False]
        assert session.get_one(JobRow, versions[0].job_id).last_version == 3
        assert session.get_one(VersionRow, versions[0].id).mlflow_deleted_at is None, "the sync deletes its copy"


def test_what_a_project_stores_is_counted_once(platform: Platform, versions: list[VersionRow]) -> None:
    export(platform, versions[0])
    usage = project_usage(platform.db, SLUG)
    stored = {each.kind: (each.count, each.bytes) for each in usage.stored if each.count}
    assert stored == {"sources": (2, 20), "prepared_sets": (2, 6), "weights": (3, 15), "exports": (1, 1)}
    assert usage.freeable[FreeableKind.SOURCES].count == 1
    lineage.dataset(platform, "of another project", project="foxes")
    other = project_usage(platform.db, "foxes")
    assert sum(each.bytes for each in other.stored) == 10 + 3
    assert other.freeable[FreeableKind.SOURCES].count == 0
    only = FreeableKind.VERSIONS
    for keep, days in ((1, 0.0), (2, 0.0), (1, 1.0), (3, 0.0)):
        choice = PurgeChoice([only], keep_versions=keep, older_than_days=days)
        plan = plan_purge(platform.db, SLUG, choice, cursor=None, limit=100)
        assert plan.amounts[only].count == len(plan.items.items) == (0 if days else 3 - keep)


def test_an_old_job_without_a_version_left_has_none(platform: Platform) -> None:
    first, second = lineage.dataset(platform, "first"), lineage.dataset(platform, "second")
    lineage.version(platform, first.id, 0.9)
    lineage.version(platform, second.id, 0.9)
    purge(platform, FreeableKind.VERSIONS)
    with platform.db.reading() as session:
        assert [session.get_one(JobRow, job.id).last_version for job in (first, second)] == [0, 2]


def test_a_source_is_kept_by_what_needs_it(platform: Platform) -> None:
    only = FreeableKind.SOURCES
    jobs = [lineage.dataset(platform, name) for name in ("first", "second", "third", "fourth")]
    assert names(platform, only) == [f"{SLUG}/d{number}" for number in (1, 2, 3)], "the newest may be extended"
    with platform.db.transaction() as session:
        session.execute(update(JobRow).where(JobRow.id == jobs[3].id).values(parent_job_id=jobs[0].id))
        at = clock.now()
        session.add(
            TestSetRow(
                project_id=jobs[1].project_id, generation=1, job_id=jobs[1].id, fingerprint="f" * 64, images=3,
                key="test_sets/x", bytes=9, sha256="a" * 64, created_at=at,
            )
        )  # fmt: skip
        session.add(
            CorrectionRow(
                id="correction_1", job_id=jobs[2].id, project_id=jobs[2].project_id, image="a.jpg",
                image_sha256="0" * 64, change={}, author="ann", note="", created_at=at, updated_at=at,
            )
        )  # fmt: skip
    assert names(platform, only) == []
    drafted, tomorrow = (JobRow.id == jobs[2].id,), clock.now() + timedelta(days=1)
    assert forget_old_sources(platform.db, before=tomorrow, which=drafted) == [], "its drafts may be applied"
    with platform.db.transaction() as session:
        session.execute(update(CorrectionRow).values(applied_to=jobs[3].id))
        session.execute(update(TestSetRow).values(removed_at=clock.now()))
    delete_job(platform, jobs[3].id)
    assert names(platform, only) == [f"{SLUG}/d1", f"{SLUG}/d2"], "d3 is the newest now"
    repair_job(platform, jobs[0].id)
    assert names(platform, only) == [f"{SLUG}/d2"]
    assert purge(platform, only)["freed"] == {"sources": {"count": 1, "bytes": 10}}


def test_a_source_that_an_extension_begins_to_need_stays(platform: Platform) -> None:
    first, second = (lineage.dataset(platform, name) for name in ("first", "second"))
    received = {"state": str(JobState.RECEIVED), "extension": {}, "parent_job_id": first.id}
    with ThreadPoolExecutor(1) as housekeeping:
        with platform.db.transaction() as session:
            job_in(session, first.id, lock=True)
            tomorrow = clock.now() + timedelta(days=1)
            forgetting = housekeeping.submit(forget_old_sources, platform.db, before=tomorrow, which=())
            time.sleep(0.3)  # it waits for the lock
            assert not forgetting.done()
            session.execute(update(JobRow).where(JobRow.id == second.id).values(received))
        assert forgetting.result() == []
    with platform.db.reading() as session:
        assert session.get_one(JobRow, first.id).source_key is not None


def test_a_draft_is_not_discarded_while_drafts_are_applied(platform: Platform) -> None:
    job = lineage.dataset(platform, "first")
    correction = NewCorrection("a.jpg", "0" * 64, {"remove": True}, "")
    save_corrections(platform.db, job.id, [correction], author="ann")
    with ThreadPoolExecutor(1) as other:
        with platform.db.transaction() as session:
            job_in(session, job.id, lock=True)
            discarding = other.submit(discard_corrections, platform.db, job.id)
            time.sleep(0.3)  # it waits for the lock
            assert not discarding.done()
            for row in session.execute(select(CorrectionRow)).scalars():
                row.applied_to = job.id
        assert discarding.result() == 0


def test_inputs_of_an_extension_are_kept_while_it_may_be_retried(platform: Platform) -> None:
    job = lineage.dataset(platform, "first")
    key = upload_key(job.id)
    added = {"additions": {"key": key}, "changes": None}
    for state, kept in ((JobState.FAILED, {key}), (JobState.REJECTED, set())):
        with platform.db.transaction() as session:
            values = {"state": str(state), "extension": added, "source_key": None}
            session.execute(update(JobRow).where(JobRow.id == job.id).values(values))
        assert named_keys(platform.db, [key]) == kept


def test_checkpoints_of_ended_runs_go_and_those_of_active_ones_stay(
    platform: Platform, versions: list[VersionRow]
) -> None:
    job_id = str(versions[0].job_id)
    active, ended = running_run(platform, job_id), running_run(platform, job_id)
    for claim in (active, ended):
        record_checkpoint(platform.db, RunRow, claim, key=f"runs/{claim.id}", epoch=1, sha256="5" * 64, size=8)
    cancel_run(platform.db, ended.id)
    cancel_attempt(platform.db, RunRow, ended)
    result = purge(platform, FreeableKind.CHECKPOINTS)
    assert result["freed"] == {"checkpoints": {"count": 1, "bytes": 8}}
    assert result["unfinished"] == [f"runs/{ended.id}/1/checkpoints/"]
    with platform.db.reading() as session:
        assert session.get_one(RunRow, active.id).checkpoint_key is not None
        assert session.get_one(RunRow, ended.id).checkpoint_bytes is None


def test_what_is_made_of_versions_is_kept_by_aliases_and_by_the_test_set(
    platform: Platform, versions: list[VersionRow]
) -> None:
    for version in versions[:2]:
        export(platform, version, passed=False)
        export(platform, version, passed=True, precision="fp32")
        evaluation(platform, f"{SLUG}/d2", {"mAP50": 0.5}, version=f"{SLUG}/v{version.number}")
    batch = request_batch(platform, f"{SLUG}/v1", BatchImages(f"{SLUG}/d2"), BatchOptions()).operation
    kinds = [FreeableKind.EXPORTS, FreeableKind.BUNDLES, FreeableKind.EVALUATIONS, FreeableKind.BATCH_PREDICTIONS]
    assert names(platform, *kinds) == [f"{SLUG}/v2"] * 2, "the batch is about v1, and waits"
    cancel_operation(platform.db, batch.id)
    delete_batch(platform.db, batch.id)
    set_alias(platform.db, SLUG, "candidate", version="v2")
    assert names(platform, *kinds) == [f"{SLUG}/v1"] * 2
    assert names(platform, FreeableKind.VERSIONS, *kinds) == [f"{SLUG}/v1"], "what goes with it is not listed again"
    d2 = request_evaluation(platform, EvaluationRequest(f"{SLUG}/d2", version=f"{SLUG}/v1")).operation.job_id
    with platform.db.transaction() as session:
        session.add(
            TestSetRow(
                project_id=versions[0].project_id, generation=1, job_id=d2, fingerprint="f" * 64, images=3,
                key="test_sets/x", bytes=9, sha256="a" * 64, created_at=clock.now(),
            )
        )  # fmt: skip
    assert names(platform, *kinds) == [f"{SLUG}/v1"], "its failed export"


def test_a_batch_can_be_deleted_when_it_has_ended(platform: Platform, versions: list[VersionRow]) -> None:
    export(platform, versions[2], precision="fp32")
    batch = request_batch(platform, f"{SLUG}/v3", BatchImages(f"{SLUG}/d2"), BatchOptions()).operation
    with platform.db.transaction() as session:
        artifact = {"name": "x.csv", "key": "batch_predictions/x", "bytes": 6, "sha256": "a" * 64, "media_type": "t"}
        session.execute(insert(BatchPredictionArtifactRow).values(operation_id=batch.id, **artifact))
    assert names(platform, FreeableKind.BATCH_PREDICTIONS) == []
    cancel_operation(platform.db, batch.id)
    assert names(platform, FreeableKind.BATCH_PREDICTIONS) == [f"{SLUG}/v3"]
    long_ago = clock.now() - timedelta(days=9)
    with platform.db.transaction() as session:
        session.execute(update(OperationRow).where(OperationRow.id == batch.id).values(finished_at=long_ago))
    assert names(platform, FreeableKind.BATCH_PREDICTIONS, days=8) == [f"{SLUG}/v3"]
    assert purge(platform, FreeableKind.BATCH_PREDICTIONS)["bytes"] == 6
