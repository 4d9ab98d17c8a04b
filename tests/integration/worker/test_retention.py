"""What cleaning deletes, and what it spares."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.db.tables import (
    AliasMoveRow,
    ArtifactRow,
    DatasetRow,
    EventRow,
    FindingRow,
    JobRow,
    ProjectRow,
    ProjectSlugRow,
    RunRow,
    VersionRow,
)
from core.domain.errors import Gone
from core.domain.keys import (
    checkpoint_key,
    image_index_key,
    metadata_key,
    plot_key,
    samples_key,
    thumbnail_key,
    upload_key,
)
from core.services.context import Platform, open_platform
from core.services.jobs.commands import get_job
from core.services.jobs.deletion import delete_job
from core.services.jobs.project_deletion import delete_project
from core.services.maintenance.erasure import jobs_to_erase, projects_to_erase
from core.services.maintenance.retention import begin_deleting_set, finish_deleting_set, note_job_purged
from core.services.models.versions import list_versions, remove_alias, set_alias
from core.services.projects.commands import get_project, update_project
from core.services.runs.commands import get_run, list_runs
from core.services.work.leases import record_checkpoint
from core.services.work.locks import take_lock
from core.settings import Settings
from tests.builders.indexed import indexed_image, indexed_job
from tests.builders.rows import claimed_job, complete, publish, ready_job, running_run
from tests.databases import POSTGRES_IS_SLOW
from tests.servers.api import problem, serving
from tests.waiting import wait_until
from worker.context import Worker
from worker.inputs.scratch import remove_dead_scratch, scratch_name, scratch_root
from worker.tasks.retention import (
    clean,
    delete_old_checkpoints,
    delete_old_sources,
    delete_old_thumbnails,
    delete_orphans,
    erase_deleted_jobs,
    purge_deleted_jobs,
)

PREPARED_KEY = f"datasets/1/{'f' * 64}.tar"


@pytest.fixture
def platform(tmp_path: Path, database_url: str) -> Iterator[Platform]:
    kept = {"orphan_hours": 0, "keep_source_days": 0, "keep_checkpoint_days": 0}
    opened = open_platform(Settings(home=tmp_path / "home", database_url=database_url, **kept))
    yield opened
    opened.db.close()


def stored(platform: Platform) -> set[str]:
    return {key for key, _ in platform.store.list_prefix("")}


def put(platform: Platform, tmp_path: Path, *keys: str) -> None:
    (tmp_path / "object").write_bytes(b"object")
    for key in keys:
        platform.store.put(key, tmp_path / "object")


@POSTGRES_IS_SLOW
def test_a_deleted_job_leaves_no_object_and_its_prepared_set_goes_with_the_last_job(
    platform: Platform, tmp_path: Path
) -> None:
    first, second = ready_job(platform), ready_job(platform)  # the same images
    run = running_run(platform, first.id)
    weights = f"runs/{run.id}/1/artifacts/best.pt"
    put(platform, tmp_path, PREPARED_KEY, weights, *(upload_key(job.id) for job in (first, second)))
    put(platform, tmp_path, metadata_key(first.id, 1), metadata_key(second.id, 1))
    publish(platform, run)
    worker = Worker(platform, "housekeeping", "test")

    delete_job(platform, first.id)
    clean(worker)
    kept = {PREPARED_KEY, metadata_key(second.id, 1)}
    assert kept <= stored(platform) and not any(first.id in key or run.id in key for key in stored(platform))

    delete_job(platform, second.id)
    clean(worker)
    assert stored(platform) == set()
    with platform.db.reading() as session:
        assert session.get(DatasetRow, "f" * 64) is None
    assert get_job(platform.db, first.id, allow_deleted=True).state == "deleted"


def test_an_image_index_and_thumbnails_stay_with_their_set_and_go_with_it(platform: Platform, tmp_path: Path) -> None:
    job = indexed_job(platform, {indexed_image("a.jpg"): b"a"})
    fingerprint = str(job.fingerprint)
    other = image_index_key(2, fingerprint, "job_other-1")  # of an attempt that came second
    thumbnail, gone = thumbnail_key(2, fingerprint, "1-256-a"), thumbnail_key(2, "e" * 64, "1-256-a")
    put(platform, tmp_path, other, thumbnail, gone)
    before = stored(platform)
    assert set(delete_orphans(platform)) == {other, gone}
    assert stored(platform) == before - {other, gone}
    delete_job(platform, job.id)
    clean(Worker(platform, "housekeeping", "test"))
    assert stored(platform) == set()


def test_thumbnails_are_kept_for_so_many_days(platform: Platform, tmp_path: Path) -> None:
    job = indexed_job(platform, {indexed_image("a.jpg"): b"a"})
    before = stored(platform)
    put(platform, tmp_path, thumbnail_key(2, str(job.fingerprint), "1-256-a"))
    delete_old_thumbnails(platform)
    assert len(stored(platform)) == len(before) + 1
    delete_old_thumbnails(replace(platform, settings=platform.settings.model_copy(update={"keep_thumbnail_days": 0})))
    assert stored(platform) == before


def test_a_deleted_job_leaves_tombstones_and_none_of_its_rows(platform: Platform) -> None:
    job, kept = deletable(platform), deletable(platform)
    delete_job(platform, job.id)
    assert [row.job_id for row in list_versions(platform.db, cursor=None, limit=9).items] == [kept.id]
    assert [row.job_id for row in list_runs(platform.db, cursor=None, limit=9).items] == [kept.id]
    clean(Worker(platform, "housekeeping", "test"))

    with platform.db.reading() as session:
        owners = {
            FindingRow: {kept.id},
            ArtifactRow: {version_of(session, kept.id).id},
            AliasMoveRow: {kept.project_id},
            ProjectSlugRow: {kept.project_id},
        }
        for table, expected in owners.items():
            column = table.project_id if hasattr(table, "project_id") else next(iter(table.__table__.primary_key))
            assert set(session.execute(select(column)).scalars()) == expected, table
        run_id = version_of(session, kept.id).run_id
        assert set(session.execute(select(EventRow.subject_id)).scalars()) == {kept.id, run_id}
        tombstone = version_of(session, job.id)
        assert (tombstone.number, [each["sha256"] for each in tombstone.artifacts]) == (1, ["3" * 64])
        assert (tombstone.params, tombstone.metrics) == ({}, {})
        assert session.get_one(RunRow, tombstone.run_id).checkpoint_key is None
        row = session.get_one(JobRow, job.id)
        assert (row.source_sha256, row.last_version, row.findings) == ("0" * 64, 1, None)
        assert (row.name, row.source_name, row.options, row.huggingface) == ("", "", {}, None)
    with serving(platform) as client:
        for path in (f"/jobs/{job.id}", f"/models/{job.id}/v1", f"/models/{job.id}/v1/artifacts/best.pt"):
            problem(client.get(path), 410, "gone")
        problem(client.get(f"/runs/{tombstone.run_id}"), 410, "gone")
        problem(client.delete(f"/jobs/{job.id}"), 410, "gone")
        (listed,) = client.get("/jobs?state=deleted").json()["items"]
        assert (listed["job_id"], listed["name"], listed["source"]["name"], listed["links"]) == (job.id, "", "", {})
        followed = client.get(f"/jobs/{job.id}/events", headers={"last-event-id": "1"}).text
        assert followed.endswith(f'id: {row.event_seq}.end\nevent: end\ndata: {{"seq": {row.event_seq}}}\n\n')


def test_a_deleted_project_leaves_its_name_and_none_of_its_words(platform: Platform) -> None:
    job = ready_job(platform, project="raccoons")
    publish(platform, running_run(platform, job.id))
    update_project(platform.db, "raccoons", title="My raccoons", description="In the yard of Mrs Miller.")
    set_alias(platform.db, "raccoons", "production", version="v1")
    remove_alias(platform.db, "raccoons", "production")
    delete_project(platform, "raccoons")
    assert projects_to_erase(platform.db) == [], "its job first"
    clean(Worker(platform, "housekeeping", "test"))

    assert stored(platform) == set()
    with platform.db.reading() as session:
        row = session.get_one(ProjectRow, job.project_id)
        assert (row.slug, row.title, row.description, row.last_version) == ("raccoons", "", "", 1)
        for table in (AliasMoveRow, ArtifactRow):
            assert session.execute(select(func.count()).select_from(table)).scalar_one() == 0
    assert projects_to_erase(platform.db) == []
    with pytest.raises(Gone):
        get_project(platform.db, "raccoons")


ERASE = """
import sys
from core.db import open_database
from core.services.maintenance.erasure import erase_job
erase_job(open_database(sys.argv[1]), sys.argv[2], at_once=1)
"""


@POSTGRES_IS_SLOW
def test_an_erasure_that_is_killed_goes_on_with_what_is_left(platform: Platform) -> None:
    job = deletable(platform, findings=2000)
    delete_job(platform, job.id)
    purge_deleted_jobs(platform)
    left = partial(count_findings, platform)
    command = [sys.executable, "-c", ERASE, platform.settings.database, job.id]
    with subprocess.Popen(command, cwd=Path(__file__).parents[3]) as erasing:
        wait_until(lambda: left() < 2000, seconds=60, what="the first rows are deleted")
        erasing.kill()
    assert erasing.wait() == -signal.SIGKILL and left() > 0
    assert jobs_to_erase(platform.db) == [job.id]

    erase_deleted_jobs(platform)
    assert (left(), jobs_to_erase(platform.db)) == (0, [])


def deletable(platform: Platform, *, findings: int = 3) -> JobRow:
    """A job with findings, a version and an alias that was removed again."""
    job = complete(platform, claimed_job(platform), findings=findings)
    assert job is not None
    claim = running_run(platform, job.id)
    record_checkpoint(platform.db, RunRow, claim, key=checkpoint_key(claim.id, 1, 3), epoch=3, sha256="5" * 64)
    publish(platform, claim)
    set_alias(platform.db, job.id, "production", version="v1")
    remove_alias(platform.db, job.id, "production")
    return job


def version_of(session: Session, job_id: str) -> VersionRow:
    return session.execute(select(VersionRow).where(VersionRow.job_id == job_id)).scalar_one()


def count_findings(platform: Platform) -> int:
    with platform.db.reading() as session:
        return session.execute(select(func.count()).select_from(FindingRow)).scalar_one()


def test_a_prepared_set_that_is_being_deleted_is_put_again_by_the_next_job(platform: Platform) -> None:
    delete_job(platform, ready_job(platform).id)
    clean(Worker(platform, "housekeeping", "test"))  # lets go of the set, and deletes it
    claim = claimed_job(platform)
    assert complete(platform, claim) is not None

    assert not begin_deleting_set(platform.db, "f" * 64), "a job has it"
    delete_job(platform, claim.id)
    note_job_purged(platform.db, claim.id)
    assert begin_deleting_set(platform.db, "f" * 64)
    later = claimed_job(platform)
    assert complete(platform, later) is None, "wait, put again, and call again"
    finish_deleting_set(platform.db, "f" * 64)
    assert complete(platform, later) is not None


def test_an_orphan_is_an_object_that_no_row_names_and_no_active_attempt_made(
    platform: Platform, tmp_path: Path
) -> None:
    job = ready_job(platform)
    active, done = running_run(platform, job.id), running_run(platform, job.id)
    publish(platform, done)
    named = {upload_key(job.id), metadata_key(job.id, 1), PREPARED_KEY, f"runs/{done.id}/1/artifacts/best.pt"}
    named |= {samples_key(job.id, 1), plot_key(job.id, 1, "box_centres")}  # beside the metadata that the row names
    soon = {f"runs/{active.id}/1/artifacts/best.pt"}
    orphans = {
        upload_key("job_gone"),
        f"runs/{done.id}/0/artifacts/best.pt",
        samples_key(job.id, 0),
        plot_key("job_gone", 1, "box_centres"),
        f"datasets/1/{'e' * 64}.tar",
        "probe/abc",
    }
    put(platform, tmp_path, *named, *soon, *orphans)

    assert set(delete_orphans(platform)) == orphans
    assert stored(platform) == named | soon


def test_a_young_orphan_is_kept(platform: Platform, tmp_path: Path) -> None:
    put(platform, tmp_path, upload_key("job_just_uploading"))
    patient = platform.settings.model_copy(update={"orphan_hours": 24})

    assert delete_orphans(replace(platform, settings=patient)) == []


def test_old_sources_and_checkpoints_of_what_ended_go(platform: Platform, tmp_path: Path) -> None:
    job = ready_job(platform)
    active, done = running_run(platform, job.id), running_run(platform, job.id)
    for claim in (active, done):
        key = checkpoint_key(claim.id, 1, 3)
        put(platform, tmp_path, key)
        record_checkpoint(platform.db, RunRow, claim, key=key, epoch=3, sha256="5" * 64)
    put(platform, tmp_path, upload_key(job.id))
    publish(platform, done)
    time.sleep(0.01)

    delete_old_sources(platform)
    delete_old_checkpoints(platform)

    assert stored(platform) == {checkpoint_key(active.id, 1, 3)}
    assert get_job(platform.db, job.id).source_key is None
    run = get_run(platform.db, done.id)
    assert (run.checkpoint_key, run.checkpoint_epoch) == (None, None)


def test_the_scratch_of_dead_attempts_goes_and_that_of_a_living_one_stays(platform: Platform) -> None:
    alive, dead = running_run(platform), running_run(platform)
    publish(platform, dead)
    root = scratch_root(platform.settings)
    for name in (scratch_name(alive), scratch_name(dead), f"{alive.id}-0", "job_unknown-1"):
        (root / name).mkdir(parents=True)

    remove_dead_scratch(platform)

    assert os.listdir(root) == [scratch_name(alive)]
    shutil.rmtree(root)


def test_one_housekeeper_at_a_time(platform: Platform) -> None:
    assert take_lock(platform.db, "sweep", "one", seconds=0.3)
    assert not take_lock(platform.db, "sweep", "two", seconds=0.3)
    wait_until(lambda: take_lock(platform.db, "sweep", "two", seconds=0.3), seconds=5, what="the first lock to expire")
