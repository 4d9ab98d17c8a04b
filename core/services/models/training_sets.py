"""The datasets that a training learns from, its own and those of the version that it goes on from, and the frozen test
set that none of them may have images of."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from core.db import Database
from core.db.tables import DatasetRow, JobRow, TestSetRow
from core.domain.errors import DarkroomError
from core.domain.model_names import dataset_name, parse_version_name
from core.domain.not_ready import not_ready
from core.services.jobs.commands import job_in
from core.services.models.evaluation_inputs import TrainedSet, trained_on_in
from core.services.models.names import model_in
from core.services.projects.test_sets import current_test_set


@dataclass(frozen=True, slots=True)
class TrainingSets:
    """`sets`: those that were not compared with `frozen` when they were prepared."""

    job: JobRow
    frozen: TestSetRow
    sets: Sequence[TrainedSet]


def training_sets(db: Database, job_id: str, model: str) -> TrainingSets | None:
    """`model`: of the params, maybe the name of a version. None where nothing is frozen. Raises JobNotFound, Gone,
    JobNotReady."""
    with db.reading() as session:
        job = job_in(session, job_id)
        if job.fingerprint is None:
            raise not_ready(job.id, job.state)
        frozen = current_test_set(session, job.project_id)
        if frozen is None:
            return None
        sets = {each.dataset.fingerprint: each for each in _of_parent(session, job, model)}
        compared = (job.exclusions or {}).get("sha256") == frozen.sha256
        if not compared:
            mine = session.get_one(DatasetRow, job.fingerprint)
            sets[mine.fingerprint] = TrainedSet(dataset_name(job.project, job.revision), mine)
        return TrainingSets(job, frozen, [sets[each] for each in sorted(sets)])


def _of_parent(session: Session, job: JobRow, model: str) -> Sequence[TrainedSet]:
    if parse_version_name(model) is None:
        return ()
    try:
        parent = model_in(session, model, project_id=job.project_id)
    except DarkroomError:  # what is wrong with the name is reported where the run is queued
        return ()
    return trained_on_in(session, parent.id).sets
