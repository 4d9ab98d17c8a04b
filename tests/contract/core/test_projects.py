"""A project's line of versions over several jobs, and what a single upload keeps of its own."""

from typing import Any

import pytest

from core.db.tables import EventRow, JobRow, OperationRow, ProjectRow
from core.domain.errors import (
    AliasElsewhere,
    Gone,
    JobInUse,
    JobNotFound,
    ProjectInUse,
    ProjectIsImplicit,
    ProjectKindMismatch,
    ProjectNotFound,
    SlugInvalid,
    VersionNotFound,
)
from core.domain.main_metrics import main_metrics
from core.services.context import Platform
from core.services.jobs.commands import get_job, list_jobs, new_job_id, receive_job
from core.services.jobs.deletion import delete_job
from core.services.jobs.names import dataset_in
from core.services.jobs.origin_import import prepare_again
from core.services.jobs.project_deletion import delete_project
from core.services.models.versions import (
    aliases_of,
    find_version,
    list_versions,
    remove_alias,
    roll_back_alias,
    set_alias,
    version_briefs,
)
from core.services.operations.commands import queue_operation
from core.services.projects.commands import create_project, get_project, list_projects, update_project
from core.services.projects.lineage import lineage_rows
from core.services.projects.lookup import give_kind, project_in
from core.services.projects.overviews import project_overviews
from core.services.runs.commands import get_run
from core.services.work.leases import claim_row
from tests.builders import lineage
from tests.builders.rows import LEASE, complete, publish, ready_job, received_job, running_run


def dataset_of(platform: Platform, project: str) -> JobRow:
    """The next ready dataset of a project."""
    job = receive_job(
        platform,
        new_job_id(),
        name="raccoons",
        options={"seed": 0},
        source_name="data.zip",
        source_bytes=10,
        source_sha256="0" * 64,
        project=project,
    )
    claimed = claim_row(platform.db, JobRow, job.id, "w", lease_seconds=LEASE)
    assert claimed is not None
    row = complete(platform, claimed[0])
    assert row is not None
    return row


def test_versions_are_numbered_across_the_jobs_of_a_project(platform: Platform) -> None:
    first, second = dataset_of(platform, "raccoons"), dataset_of(platform, "raccoons")
    assert (first.revision, second.revision, first.project_id) == (1, 2, second.project_id)
    numbers = [publish(platform, running_run(platform, job.id)).number for job in (first, second, first)]
    assert numbers == [1, 2, 3]
    of = {
        ref: [row.number for row in list_versions(platform.db, ref=ref, cursor=None, limit=9).items]
        for ref in ("raccoons", first.id, second.id)
    }
    assert of == {"raccoons": [3, 2, 1], first.id: [3, 1], second.id: [2]}
    assert [get_job(platform.db, job.id).last_version for job in (first, second)] == [3, 2]
    assert [find_version(platform.db, ref).number for ref in ("raccoons", first.id, second.id)] == [3, 3, 2]
    with pytest.raises(VersionNotFound):
        find_version(platform.db, second.id, version="v1")


def test_an_alias_is_the_projects_and_a_job_sends_only_its_own_versions(platform: Platform) -> None:
    first, second = dataset_of(platform, "raccoons"), dataset_of(platform, "raccoons")
    for job in (first, second):
        publish(platform, running_run(platform, job.id))
    set_alias(platform.db, second.id, "production", version="v2")
    set_alias(platform.db, "raccoons", "production", version="v1")
    for ref in ("raccoons", first.id):
        assert find_version(platform.db, ref, alias="production").number == 1
    assert find_version(platform.db, "raccoons").number == 1, "a bare project is its production"
    assert find_version(platform.db, "raccoons", alias="latest").number == 2
    with pytest.raises(AliasElsewhere, match="raccoons/v1"):
        find_version(platform.db, second.id, alias="production")
    assert [row.alias for row in aliases_of(platform.db, first.id)] == ["production"]
    assert aliases_of(platform.db, second.id) == []


def test_a_deleted_dataset_leaves_its_numbers_and_a_rollback_passes_over_them(platform: Platform) -> None:
    jobs = [dataset_of(platform, "raccoons") for _ in range(3)]
    for job in jobs:
        number = publish(platform, running_run(platform, job.id)).number
        set_alias(platform.db, "raccoons", "production", version=f"v{number}")
    with pytest.raises(JobInUse):
        delete_job(platform, jobs[2].id)
    assert delete_job(platform, jobs[1].id).project == "raccoons"
    with pytest.raises(Gone, match="raccoons/v2"):
        find_version(platform.db, "raccoons", version="v2")
    assert roll_back_alias(platform.db, "raccoons", "production")[0].number == 1
    remove_alias(platform.db, "raccoons", "production")
    assert publish(platform, running_run(platform, jobs[0].id)).number == 4
    assert [row.number for row in list_versions(platform.db, ref="raccoons", cursor=None, limit=9).items] == [4, 3, 1]


def test_a_single_upload_has_a_project_of_its_own(platform: Platform) -> None:
    job = ready_job(platform)
    assert publish(platform, running_run(platform, job.id)).number == 1
    with platform.db.reading() as session:
        project = session.get_one(ProjectRow, job.project_id)
    assert (project.implicit, project.kind, project.last_version) == (True, "detection", 1)
    with pytest.raises(ProjectIsImplicit):
        dataset_of(platform, project.slug)
    delete_job(platform, job.id)
    with pytest.raises(Gone):
        find_version(platform.db, project.slug)


def test_a_dataset_has_the_same_names_wherever_one_is_named(platform: Platform) -> None:
    first, second = (dataset_of(platform, "raccoons") for _ in range(2))
    update_project(platform.db, "raccoons", slug="foxes")
    with platform.db.reading() as session:
        foxes = project_in(session, "foxes")
        for name in (second.id, "foxes/d2", "raccoons/d2", f"{foxes.id}/d2"):
            assert dataset_in(session, name).id == second.id
        assert dataset_in(session, "d1", project=foxes).id == first.id
        for name, error in (("foxes/d3", JobNotFound), ("d1", JobNotFound), ("owls/d1", ProjectNotFound)):
            with pytest.raises(error):
                dataset_in(session, name)
    delete_job(platform, second.id)
    with platform.db.reading() as session, pytest.raises(Gone, match=second.id):
        dataset_in(session, "foxes/d2")


def test_what_no_project_takes(platform: Platform) -> None:
    dataset_of(platform, "raccoons")
    with platform.db.transaction() as session, pytest.raises(ProjectKindMismatch):
        give_kind(session, list_jobs(platform.db, cursor=None, limit=1).items[0].project_id, "classification")
    for slug in ("v3", "d1", "latest", "Raccoons", "a_b", "x" * 64, "../x"):
        with pytest.raises(SlugInvalid):
            dataset_of(platform, slug)


def test_a_list_counts_what_was_not_deleted_and_names_production(platform: Platform) -> None:
    first, second = dataset_of(platform, "raccoons"), dataset_of(platform, "raccoons")
    for job in (first, first, second):
        publish(platform, running_run(platform, job.id))
    set_alias(platform.db, "raccoons", "production", version="v2")
    delete_job(platform, second.id)
    ready_job(platform)
    create_project(platform.db, "foxes")
    listed = list_projects(platform.db, cursor=None, limit=9).items
    foxes, raccoons = project_overviews(platform.db, listed)
    assert (foxes.project.slug, foxes.datasets, foxes.production) == ("foxes", 0, None)
    assert (raccoons.datasets, raccoons.runs, raccoons.versions) == (1, 2, 2)
    assert raccoons.production is not None and raccoons.production.number == 2
    assert len(list_projects(platform.db, cursor=None, limit=9, implicit=True).items) == 3


@pytest.mark.parametrize(
    "metrics",
    [
        {},
        {"test": None, "val": {"mAP50": 0.5, "mAP50-95": 1}},
        {"test": {"mAP50": 0.25, "f1": 1e-7, "per_class": {"a": {"mAP50": 0.9}}}, "val": {"mAP50": 0.5}},
        {"test": {"accuracy": None, "loss": 0.1}, "val": {"accuracy": 0}},
        {"test": {"mAP50": "none"}, "mAP50": 0.9},
    ],
)
def test_main_figures_are_those_of_all_metrics(platform: Platform, metrics: dict[str, Any]) -> None:
    lineage.dataset(platform, "first")
    row = lineage.imported(platform, metrics=metrics)
    set_alias(platform.db, lineage.SLUG, "production", version="v1")
    (brief,) = version_briefs(platform.db, [row])
    (version,) = lineage_rows(platform.db, lineage.SLUG, limit=9).versions
    (overview,) = project_overviews(platform.db, [get_project(platform.db, lineage.SLUG)])
    assert overview.production is not None
    for found in (brief.metrics, version.metrics, overview.production.metrics):
        assert main_metrics(found) == main_metrics(metrics)


def test_a_project_is_deleted_with_all_that_is_active_in_it(platform: Platform) -> None:
    job = dataset_of(platform, "raccoons")
    claim = running_run(platform, job.id)
    publish(platform, running_run(platform, job.id))
    preparing = received_job(platform, project="raccoons")
    queued = queue_operation(platform, "import", {}, project_id=job.project_id).id
    with pytest.raises(ProjectInUse) as refused:
        delete_project(platform, "raccoons")
    assert set(refused.value.facts["work"]) == {claim.id, preparing.id, queued}
    set_alias(platform.db, "raccoons", "production", version="v1")
    with pytest.raises(ProjectInUse, match="production"):
        delete_project(platform, "raccoons", cancel=True)
    remove_alias(platform.db, "raccoons", "production")

    deleted = delete_project(platform, "raccoons", cancel=True)
    assert deleted.deleted_at is not None and get_run(platform.db, claim.id).state == "cancelling"
    with platform.db.reading() as session:
        assert session.get_one(OperationRow, queued).state == "cancelled"
        assert session.get_one(EventRow, (queued, 2)).data["state"] == "cancelled"
    for ref in ("raccoons", job.id, preparing.id):
        with pytest.raises(Gone):
            list_versions(platform.db, ref=ref, cursor=None, limit=9)
    with pytest.raises(Gone):
        received_job(platform, project="raccoons")
    with pytest.raises(Gone):
        update_project(platform.db, "raccoons", slug="foxes")


def test_a_project_waits_for_another_one_that_takes_a_zip_of_it(platform: Platform) -> None:
    taken, own = dataset_of(platform, "raccoons"), dataset_of(platform, "raccoons")
    copy = prepare_again(platform, taken.id, options={"seed": 1}, project="foxes")
    prepare_again(platform, own.id, options={"seed": 1})
    with pytest.raises(ProjectInUse) as refused:
        delete_project(platform, "raccoons", cancel=True)
    detail = f"foxes/d1 (the job {copy.id}) is to be prepared of the ZIP of raccoons/d1"
    assert str(refused.value).startswith(detail) and refused.value.facts["work"] == [copy.id]
    with pytest.raises(JobInUse) as of_dataset:
        delete_job(platform, taken.id)
    assert str(of_dataset.value) == str(refused.value)

    delete_job(platform, copy.id)
    assert delete_project(platform, "raccoons", cancel=True).deleted_at is not None, "its own goes with it"
