"""Requests and workers that change the same project at once neither wait for each other forever nor skip a number."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from random import Random
from threading import Barrier
from typing import TypeVar

import pytest
from sqlalchemy import select

from core.db import open_database
from core.db.tables import JobRow, OperationRow, RunRow, VersionRow
from core.domain.errors import Conflict, Gone, NotFound, OperationFailed
from core.queue.polling_only import PollingOnly
from core.services.context import Platform
from core.services.jobs.commands import job_in, list_jobs
from core.services.jobs.deletion import delete_job
from core.services.jobs.origin_import import prepare_again
from core.services.jobs.project_deletion import delete_project
from core.services.jobs.repair import repair_job
from core.services.models.evaluations import EvaluationRequest, publish_evaluation, request_evaluation
from core.services.models.exports import delete_export, list_exports, request_export
from core.services.models.versions import list_versions, remove_alias, roll_back_alias, set_alias
from core.services.operations.commands import cancel_operation, list_operations, queue_operation
from core.services.operations.lifecycle import complete_operation
from core.services.projects.lookup import project_in
from core.services.runs.commands import cancel_run, list_runs, run_in
from core.services.work.leases import ClaimLost, claim_row
from core.settings import Settings
from core.storage import open_store
from tests.builders import exports, rows

Found = TypeVar("Found")
PROJECT = "raccoons"
THREADS, STEPS = 8, 15
TRIES = 4  # of a step: what it had chosen may be deleted meanwhile
JOINS = 5  # of each thread
CROSSINGS = 40  # of each thread


def test_a_project_is_made_once_and_its_datasets_are_numbered_without_gaps(database_url: str) -> None:
    platform = _platform(database_url)
    start = Barrier(THREADS)

    def join(_number: int) -> list[int]:
        start.wait(30)
        return [rows.received_job(platform, project=PROJECT).revision for _ in range(JOINS)]

    with ThreadPoolExecutor(THREADS) as threads:
        revisions = [revision for joined in threads.map(join, range(THREADS)) for revision in joined]
    assert sorted(revisions) == list(range(1, THREADS * JOINS + 1))
    platform.db.close()


def test_a_row_is_read_anew_when_it_is_locked(postgres_copy: str) -> None:
    """What was deleted between the two reads of a transaction is not worked with."""
    platform = _platform(postgres_copy)
    job_id = rows.ready_job(platform, project=PROJECT).id
    run_id = rows.queued_run(platform, job_id).id
    with platform.db.transaction() as session:
        seen = project_in(session, PROJECT), job_in(session, job_id), run_in(session, run_id)
        delete_project(platform, PROJECT, cancel=True)
        with pytest.raises(Gone):
            project_in(session, PROJECT, lock=True)
        with pytest.raises(Gone):
            job_in(session, job_id, lock=True)
        assert run_in(session, run_id, lock=True) is seen[2] and seen[2].state == "cancelled"
    platform.db.close()


def test_no_two_changes_of_a_project_wait_for_each_other(database_url: str) -> None:
    platform = _platform(database_url)
    for _ in range(3):
        rows.publish(platform, rows.running_run(platform, rows.ready_job(platform, project=PROJECT).id))
    start = Barrier(THREADS)

    def work(number: int) -> Counter[str]:
        rng, outcomes = Random(number), Counter[str]()
        start.wait(30)
        for _ in range(STEPS):
            step = rng.choice(STEPS_OF_A_THREAD)
            for _ in range(TRIES):
                try:
                    step(platform, rng)
                    outcomes[step.__name__] += 1
                    break
                except (Conflict, Gone, NotFound, ClaimLost, OperationFailed) as refused:
                    outcomes[type(refused).__name__] += 1
        return outcomes

    with ThreadPoolExecutor(THREADS) as threads:  # a deadlock is Unavailable, which nothing above catches
        outcomes = sum(threads.map(work, range(THREADS)), Counter[str]())
    wanted = {"_join", "_publish", "_queue", "_cancel", "_delete", "_set_alias", "_operate", "_evaluate", "_export"}
    assert wanted <= set(outcomes)
    with platform.db.reading() as session:
        project = project_in(session, PROJECT)
        revisions = session.execute(select(JobRow.revision).order_by(JobRow.revision)).scalars().all()
        numbers = session.execute(select(VersionRow.number).order_by(VersionRow.number)).scalars().all()
    assert revisions == list(range(1, project.last_revision + 1))
    assert numbers == list(range(1, project.last_version + 1))
    platform.db.close()


def test_what_goes_from_one_project_to_another_at_once_in_both_directions(postgres_copy: str) -> None:
    platform = _platform(postgres_copy)
    foxes, owls = (rows.ready_job(platform, project=name).id for name in ("foxes", "owls"))
    ways = [(foxes, "owls"), (owls, "foxes")]
    start = Barrier(2 * len(ways))

    def prepare(way: tuple[str, str]) -> None:
        prepare_again(platform, way[0], options={"seed": 1}, project=way[1])

    def repair(way: tuple[str, str]) -> None:
        repair_job(platform, way[0], project=way[1])

    def work(of: tuple[Callable[[tuple[str, str]], None], tuple[str, str]]) -> None:
        start.wait(30)
        for _ in range(CROSSINGS):
            of[0](of[1])

    with ThreadPoolExecutor(2 * len(ways)) as threads:  # a deadlock is Unavailable
        list(threads.map(work, product((prepare, repair), ways)))
    made = [_revisions(platform, name) for name in ("foxes", "owls")]
    assert made == [1 + CROSSINGS + 1] * 2, "itself, each that was prepared again, one repair"
    platform.db.close()


def _revisions(platform: Platform, slug: str) -> int:
    with platform.db.reading() as session:
        return project_in(session, slug).last_revision


def _join(platform: Platform, _rng: Random) -> None:
    rows.ready_job(platform, project=PROJECT)


def _publish(platform: Platform, rng: Random) -> None:
    run = rows.queued_run(platform, _some_job(platform, rng))
    claimed = claim_row(platform.db, RunRow, run.id, "w", lease_seconds=rows.LEASE)
    if claimed is not None:  # None: another thread has cancelled it
        rows.publish(platform, claimed[0])


def _queue(platform: Platform, rng: Random) -> None:
    rows.queued_run(platform, _some_job(platform, rng))


def _cancel(platform: Platform, rng: Random) -> None:
    waiting = list_runs(platform.db, cursor=None, limit=10, state="queued").items
    run_id = _one_of(waiting, rng).id if waiting else rows.queued_run(platform, _some_job(platform, rng)).id
    cancel_run(platform.db, run_id)


def _delete(platform: Platform, rng: Random) -> None:
    delete_job(platform, _some_job(platform, rng), cancel=True)


def _set_alias(platform: Platform, rng: Random) -> None:
    set_alias(platform.db, PROJECT, "staging", version=_some_version(platform, rng))


def _roll_back(platform: Platform, _rng: Random) -> None:
    roll_back_alias(platform.db, PROJECT, "staging")


def _remove_alias(platform: Platform, _rng: Random) -> None:
    remove_alias(platform.db, PROJECT, "staging")


def _operate(platform: Platform, rng: Random) -> None:
    target = rng.choice(["one", "two"])
    operation = queue_operation(platform, "scripted", {}, job_id=_some_job(platform, rng), target=target)
    claimed = claim_row(platform.db, OperationRow, operation.id, "w", lease_seconds=rows.LEASE)
    if claimed is not None:  # None: another thread has its target
        complete_operation(platform.db, claimed[0], {})


def _evaluate(platform: Platform, rng: Random) -> None:
    version = _one_of(list_versions(platform.db, ref=PROJECT, cursor=None, limit=3).items, rng)
    wanted = EvaluationRequest(
        _some_job(platform, rng), f"{PROJECT}/v{version.number}", split=rng.choice(["val", "test"])
    )
    operation = request_evaluation(platform, wanted).operation
    claimed = claim_row(platform.db, OperationRow, operation.id, "w", lease_seconds=rows.LEASE)
    if claimed is not None:  # None: another thread has its target
        publish_evaluation(platform.db, claimed[0], metrics={}, artifacts=[])


def _cancel_operation(platform: Platform, rng: Random) -> None:
    cancel_operation(platform.db, _one_of(list_operations(platform.db, cursor=None, limit=4).items, rng).id)


def _export(platform: Platform, rng: Random) -> None:
    requested = request_export(platform, PROJECT, _some_version(platform, rng), exports.ONNX)
    claimed = claim_row(platform.db, OperationRow, requested.operation.id, "w", lease_seconds=rows.LEASE)
    if claimed is not None:  # None: another thread makes it, or has made it
        exports.publish_claimed(platform, claimed[0])


def _delete_export(platform: Platform, rng: Random) -> None:
    version = _some_version(platform, rng)
    found = list_exports(platform.db, PROJECT, version, cursor=None, limit=4).page.items
    delete_export(platform.db, PROJECT, version, _one_of(found, rng).id)


def _some_version(platform: Platform, rng: Random) -> str:
    return f"v{_one_of(list_versions(platform.db, ref=PROJECT, cursor=None, limit=3).items, rng).number}"


def _some_job(platform: Platform, rng: Random) -> str:
    return _one_of(list_jobs(platform.db, cursor=None, limit=4, state="ready").items, rng).id


def _one_of(found: Sequence[Found], rng: Random) -> Found:
    if not found:
        raise NotFound("Another thread has deleted them.")
    return rng.choice(found)


Step = Callable[[Platform, Random], None]
STEPS_OF_A_THREAD: tuple[Step, ...] = (
    _join, _join, _publish, _publish, _queue, _queue, _cancel, _delete, _set_alias, _set_alias, _roll_back,
    _remove_alias, _operate, _operate, _evaluate, _evaluate, _cancel_operation, _export, _export, _delete_export,
)  # fmt: skip


def _platform(url: str) -> Platform:
    settings = Settings(database_url=url)
    return Platform(settings, open_database(url), open_store(settings), PollingOnly())
