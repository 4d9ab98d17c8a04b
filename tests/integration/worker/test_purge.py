"""A purge by a worker: objects go after their rows, a killed one is continued, and a project's own retention holds."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from core import clock
from core.db.tables import ArtifactRow, OperationRow, RunRow, VersionRow
from core.domain.keys import artifact_key, checkpoint_key, upload_key
from core.domain.retention import FreeableKind
from core.services.context import Platform, open_platform
from core.services.jobs.commands import get_job
from core.services.models.mlflow_sync import versions_to_forget
from core.services.models.versions import find_version
from core.services.operations.commands import cancel_operation, get_operation, retry_operation
from core.services.projects.commands import update_project
from core.services.runs.commands import get_run
from core.services.storage.purge import PurgeChoice, request_purge
from core.services.work.events import events_after
from core.services.work.leases import record_checkpoint
from core.settings import Settings
from tests import REPOSITORY
from tests.builders import rows
from tests.builders.evaluated import evaluation
from tests.servers.workers import stack
from worker.context import Worker
from worker.tasks.operations.operate import operate
from worker.tasks.retention import clean, delete_orphans

SLUG = "raccoons"
KILLED = """
import os, signal, sys
from core.settings import load_settings
from core.storage.folder import FolderStore
from worker.context import open_worker
from worker.tasks.operations.operate import operate

whole, left = FolderStore.delete_prefix, [int(sys.argv[2])]

def delete_prefix(self, prefix):
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    return whole(self, prefix)

FolderStore.delete_prefix = delete_prefix
operate(open_worker(load_settings(), "operations"), sys.argv[1])
"""


@pytest.fixture
def platform(tmp_path: Path, database_url: str) -> Iterator[Platform]:
    opened = open_platform(Settings(home=tmp_path / "home", database_url=database_url, orphan_hours=0))
    yield opened
    opened.db.close()


def filled(platform: Platform, tmp_path: Path, *, count: int = 3) -> set[str]:
    """Datasets with a source, a version and a checkpoint each. Returns what of it can never be deleted."""
    (tmp_path / "object").write_bytes(b"object")
    kept: set[str] = set()
    for number in range(count):
        job = rows.ready_job(platform, project=SLUG)
        claim = rows.running_run(platform, job.id)
        checkpoint = checkpoint_key(claim.id, 1, 1)
        record_checkpoint(platform.db, RunRow, claim, key=checkpoint, epoch=1, sha256="5" * 64, size=6)
        rows.publish(platform, claim)
        mine = [upload_key(job.id), artifact_key(claim.id, 1, "best.pt")]
        for key in (*mine, checkpoint):
            platform.store.put(key, tmp_path / "object")
        if number == count - 1:
            kept.update(mine)
    evaluation(platform, f"{SLUG}/d1", {"mAP50": 0.5}, version=f"{SLUG}/v1")
    return kept


def stored(platform: Platform) -> set[str]:
    return {key for key, _ in platform.store.list_prefix("")}


def requested(platform: Platform, *kinds: FreeableKind) -> str:
    choice = PurgeChoice(kinds or list(FreeableKind), keep_versions=1)
    plan = request_purge(platform, SLUG, choice, limit=10)
    assert plan.operation is not None
    return plan.operation.id


def named(platform: Platform) -> dict[str, Any]:
    """What rows name of the first dataset."""
    with platform.db.reading() as session:
        first = session.execute(select(VersionRow).order_by(VersionRow.id).limit(1)).scalar_one()
        artifacts = session.execute(select(ArtifactRow.key).where(ArtifactRow.version_id == first.id)).scalars().all()
    run = get_run(platform.db, str(first.run_id))
    source = get_job(platform.db, str(first.job_id)).source_key
    return {"artifacts": artifacts, "checkpoint": run.checkpoint_key, "source": source, "purged": first.purged_at}


def test_it_deletes_what_was_listed_and_nothing_else(platform: Platform, tmp_path: Path) -> None:
    kept = filled(platform, tmp_path)
    operation_id = requested(platform)
    operate(Worker(platform, "operations", "w"), operation_id)

    row = get_operation(platform.db, operation_id)
    assert row.state == "succeeded", row.problem
    assert row.result is not None
    assert row.result["freed"] | {"versions": 0} == {
        "versions": 0,
        "sources": {"count": 2, "bytes": 20},
        "checkpoints": {"count": 3, "bytes": 18},
    }
    assert row.result["freed"]["versions"]["count"] == 2
    assert stored(platform) == kept
    assert delete_orphans(platform) == [], "nothing was left for the sweep"
    found = named(platform)
    assert found.pop("purged") is not None and found == {"artifacts": [], "checkpoint": None, "source": None}
    assert find_version(platform.db, SLUG).number == 3
    assert [version.number for version, _ in versions_to_forget(platform.db, but_not=set())] == [1, 2]


@pytest.mark.parametrize(
    "deletions",
    [0, 2, pytest.param(1, marks=pytest.mark.slow), *(pytest.param(n, marks=pytest.mark.slow) for n in range(3, 8))],
)
@pytest.mark.slow
def test_killed_between_two_deletions_the_next_attempt_continues(
    platform: Platform, tmp_path: Path, deletions: int
) -> None:
    """No row names an object that is gone, whatever was killed when."""
    kept = filled(platform, tmp_path)
    operation_id = requested(platform)
    killed_after(platform, operation_id, deletions=deletions)
    assert_rows_name_objects_that_exist(platform)

    give_back(platform, operation_id)
    operate(Worker(platform, "operations", "w"), operation_id)

    row = get_operation(platform.db, operation_id)
    assert (row.state, row.attempt) == ("succeeded", 2), row.problem
    assert row.result is not None and {kind: each["count"] for kind, each in row.result["freed"].items()} == {
        "versions": 2,
        "sources": 2,
        "checkpoints": 3,
    }
    assert stored(platform) == kept


def killed_after(platform: Platform, operation_id: str, *, deletions: int) -> None:
    """A worker that dies before it deletes the next object."""
    environment = {**os.environ, "DARKROOM_DATABASE_URL": platform.settings.database}
    environment |= {"DARKROOM_HOME": str(platform.settings.home)}
    command = [sys.executable, "-c", KILLED, operation_id, str(deletions)]
    killed = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, timeout=60)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()


@pytest.mark.parametrize("ended", ["cancelled", "failed"])
def test_ended_half_way_housekeeping_deletes_what_no_row_names_any_more(
    platform: Platform, tmp_path: Path, ended: str
) -> None:
    """At once: the sweep of orphaned objects would leave it for hours."""
    filled(platform, tmp_path)
    patient = replace(platform, settings=platform.settings.model_copy(update={"orphan_hours": 24.0}))
    operation_id = requested(platform, FreeableKind.SOURCES)
    killed_after(platform, operation_id, deletions=1)
    unfinished = (get_operation(platform.db, operation_id).result or {})["unfinished"]
    assert len(unfinished) == 2 and len({*unfinished} & stored(platform)) == 1
    give_back(platform, operation_id)
    if ended == "cancelled":
        cancel_operation(platform.db, operation_id)
    else:  # as after three lost attempts
        with platform.db.transaction() as session:
            row = session.get_one(OperationRow, operation_id)
            row.state, row.finished_at = "failed", clock.now()

    clean(Worker(patient, "housekeeping", "test"))

    assert not {*unfinished} & stored(platform)
    row = get_operation(platform.db, operation_id)
    assert row.result is not None and (row.result["count"], row.result["unfinished"]) == (2, [])
    fields: dict[str, Any] = {}
    for event in events_after(platform.db, operation_id, seq=0):
        fields |= event.data
    assert fields["result"] == row.result, "the fold of its events is its state"
    if ended == "failed":
        retry_operation(platform, operation_id)
        operate(Worker(platform, "operations", "w"), operation_id)
        assert get_operation(platform.db, operation_id).state == "succeeded"


def give_back(platform: Platform, operation_id: str) -> None:
    """As the sweep does when the lease has expired."""
    with platform.db.transaction() as session:
        row = session.get_one(OperationRow, operation_id)
        row.state, row.lease_expires_at = "queued", None


def assert_rows_name_objects_that_exist(platform: Platform) -> None:
    objects = stored(platform)
    found = named(platform)
    with platform.db.reading() as session:
        living = select(ArtifactRow.key).join(VersionRow, VersionRow.id == ArtifactRow.version_id)
        weights = set(session.execute(living.where(VersionRow.deleted_at.is_(None))).scalars())
    assert weights <= objects
    assert {found["checkpoint"], found["source"]} - {None} <= objects


def test_a_project_keeps_for_its_own_days(platform: Platform, tmp_path: Path) -> None:
    kept = filled(platform, tmp_path)
    housekeeper = Worker(platform, "housekeeping", "test")
    before = stored(platform)
    clean(housekeeper)
    assert stored(platform) == before, "the installation keeps for days"
    own = {"source_days": None, "checkpoint_days": 0, "version_days": 0, "keep_versions": 1}
    update_project(platform.db, SLUG, settings={"retention": own})
    clean(housekeeper)
    sources = {key for key in before if key.startswith("uploads/")}
    assert stored(platform) == kept | sources
    update_project(platform.db, SLUG, settings={"retention": {**own, "source_days": 0}})
    clean(housekeeper)
    assert stored(platform) == {key for key in kept if key not in sources}


@pytest.mark.slow
def test_a_worker_that_is_killed_in_a_large_purge_is_continued_by_another(
    tmp_path: Path, database_url: str, valkey_url: str
) -> None:
    with stack(tmp_path, database_url, valkey_url) as line:
        kept = filled(line.platform, tmp_path, count=150)
        operation_id = requested(line.platform)
        line.start("housekeeping")
        first = line.start("operations")
        line.until(lambda: (line.operation(operation_id).result or {}).get("count", 0) > 0)
        first.kill()
        assert line.operation(operation_id).state == "running"
        assert_rows_name_objects_that_exist(line.platform)
        line.start("operations")
        row = line.ended_operation(operation_id)
        assert (row.state, row.attempt) == ("succeeded", 2), line.logs()
        assert row.result is not None
        assert {kind: each["count"] for kind, each in row.result["freed"].items()} == {
            "versions": 149,
            "sources": 149,
            "checkpoints": 150,
        }
        line.until(lambda: stored(line.platform) == kept, seconds=20)
