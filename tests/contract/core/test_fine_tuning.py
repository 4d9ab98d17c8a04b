"""A run that starts from a version of ours: which version a name means, and what its deletion waits for."""

import pytest

from core.db.tables import JobRow, ProjectRow, ProjectSlugRow, RunRow, VersionRow
from core.domain.errors import JobInUse, JobNotReady, ModelTrainerMismatch, OutOfMemory, ParamsInvalid, RunNotRetryable
from core.services.context import Platform
from core.services.jobs.deletion import delete_job
from core.services.models.fine_tuning import find_weights, queue_training
from core.services.models.versions import set_alias
from core.services.runs.commands import cancel_run, get_run, retry_run
from core.services.work.endings import fail_attempt
from core.services.work.leases import Claim, claim_row
from tests.builders.rows import LEASE, publish, ready_job, received_job, running_run


def fine_tune(platform: Platform, job: JobRow, model: str, *, trainer: str = "yolo") -> RunRow:
    return queue_training(platform, job.id, trainer=trainer, params={"model": model, "epochs": 1})


def claimed(platform: Platform, run: RunRow) -> Claim:
    found = claim_row(platform.db, RunRow, run.id, "w", lease_seconds=LEASE)
    assert found is not None
    return found[0]


def version_of(platform: Platform, job: JobRow) -> VersionRow:
    return publish(platform, running_run(platform, job.id))


def rename(platform: Platform, job: JobRow, slug: str) -> None:
    with platform.db.transaction() as session:
        session.get_one(ProjectRow, job.project_id).slug = slug
        session.add(ProjectSlugRow(slug=slug, project_id=job.project_id))


def test_a_name_becomes_the_version_that_it_means_when_the_run_is_queued(platform: Platform) -> None:
    job, other = ready_job(platform, project="raccoons"), ready_job(platform, project="birds")
    first, second = version_of(platform, job), version_of(platform, job)
    set_alias(platform.db, "raccoons", "production", version="v1")
    meant = {name: fine_tune(platform, job, name) for name in ("v1", "v2", "latest", "@production", "@latest")}
    elsewhere = {name: fine_tune(platform, other, name) for name in ("raccoons/v1", "raccoons@production")}
    assert {name: run.parent_id for name, run in (meant | elsewhere).items()} == {
        **dict.fromkeys(("v1", "@production", "raccoons/v1", "raccoons@production"), first.id),
        **dict.fromkeys(("v2", "latest", "@latest"), second.id),
    }
    set_alias(platform.db, "raccoons", "production", version="v2")
    rename(platform, job, "coons")
    queued = get_run(platform.db, meant["@production"].id)
    assert (queued.parent_id, queued.params["model"]) == (first.id, "raccoons/v1"), "neither moves with the alias"
    assert fine_tune(platform, other, "raccoons/v2").params["model"] == "coons/v2", "an old name leads to the project"
    assert publish(platform, claimed(platform, queued)).parent_id == first.id


def test_other_names_are_left_to_the_trainer(platform: Platform) -> None:
    job = ready_job(platform, project="raccoons")
    version_of(platform, job)
    for name in ("raccoons", "yolov8n", "best.pt", "google/vit-base-patch16-224"):
        run = fine_tune(platform, job, name)
        assert (run.parent_id, run.params["model"]) == (None, name)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("v2", "The project birds has no version v2"),
        ("@production", "The project birds has no alias 'production'"),
        ("nothing/v1", "There is no project nothing"),
        ("raccoons/v1", "raccoons/v1 was deleted"),
    ],
)
def test_what_cannot_be_found_is_an_invalid_param(platform: Platform, model: str, message: str) -> None:
    deleted = ready_job(platform, project="raccoons")
    version_of(platform, deleted)
    delete_job(platform, deleted.id)
    job = ready_job(platform, project="birds")
    version_of(platform, job)
    with pytest.raises(ParamsInvalid, match=message) as raised:
        fine_tune(platform, job, model)
    assert [each["field"] for each in raised.value.facts["errors"]] == ["params.model"]


def test_only_the_trainer_of_the_version_goes_on_with_it(platform: Platform) -> None:
    job = ready_job(platform, project="raccoons")
    version_of(platform, job)
    with pytest.raises(ModelTrainerMismatch) as raised:
        fine_tune(platform, job, "v1", trainer="vit")
    assert raised.value.facts == {"model": "raccoons/v1", "model_trainer": "yolo", "trainer": "vit"}
    with pytest.raises(JobNotReady):
        fine_tune(platform, received_job(platform, project="raccoons"), "v1")


def test_a_version_that_an_active_run_starts_from_is_not_deleted(platform: Platform) -> None:
    job, other = ready_job(platform, project="raccoons"), ready_job(platform, project="birds")
    version = version_of(platform, job)
    run = fine_tune(platform, other, "raccoons/v1")
    for cancel in (False, True):
        with pytest.raises(JobInUse) as raised:
            delete_job(platform, job.id, cancel=cancel)
        assert raised.value.facts == {"job_id": job.id, "runs": [run.id]}
    weights = find_weights(platform.db, version.id)
    assert weights is not None and weights.name == "best.pt"
    cancel_run(platform.db, run.id)
    delete_job(platform, job.id)
    assert find_weights(platform.db, version.id) is None


def test_a_run_is_not_retried_once_its_parent_is_deleted(platform: Platform) -> None:
    job, other = ready_job(platform, project="raccoons"), ready_job(platform, project="birds")
    version = version_of(platform, job)
    run = fine_tune(platform, other, "raccoons/v1")
    for _ in range(2):
        fail_attempt(platform.db, RunRow, claimed(platform, run), OutOfMemory("no room"))
        if get_run(platform.db, run.id).attempt == 1:
            assert retry_run(platform, run.id).state == "queued"
    delete_job(platform, job.id)
    with pytest.raises(RunNotRetryable, match="raccoons/v1") as raised:
        retry_run(platform, run.id)
    assert raised.value.facts["parent_id"] == version.id
