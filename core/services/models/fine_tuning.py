"""Training from a version of ours: which one a name means when the run is queued, and where its weights are."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db import Database
from core.db.tables import ArtifactRow, RunRow, VersionRow
from core.domain.errors import Gone, ModelTrainerMismatch, NotFound, ParamsInvalid
from core.domain.field_errors import not_valid
from core.domain.model_names import ModelName, parse_version_name, version_name
from core.services.context import Platform
from core.services.jobs.commands import job_in
from core.services.models.refs import Line
from core.services.models.versions import version_in
from core.services.on_commit import OnCommit, do_nothing
from core.services.projects.lookup import project_in
from core.services.runs.commands import add_run, enqueue_run, queue_run


def queue_training(
    platform: Platform,
    job_id: str,
    *,
    trainer: str,
    params: dict[str, Any],
    field: str = "params.model",
    leak: dict[str, Any] | None = None,
    on_commit: OnCommit = do_nothing,
) -> RunRow:
    """As `queue_run`; a `model` of `params` that names a version of ours becomes the run's parent.

    `v3` and `@production` are of the job's project. The params keep `raccoons/v3`: an alias may move later.
    `field`: where the request has the name. Raises what `add_run` raises, and ParamsInvalid, ModelTrainerMismatch.
    """
    name = parse_version_name(str(params.get("model", "")))
    if name is None:
        return queue_run(platform, job_id, trainer=trainer, params=params, leak=leak, on_commit=on_commit)
    with platform.db.transaction() as session:
        parent, full_name = _parent(session, job_id, name, field)
        if parent.trainer != trainer:
            detail = f"{full_name} is a model of {parent.trainer}; it cannot be trained by {trainer}."
            facts = {"model": full_name, "model_trainer": parent.trainer, "trainer": trainer}
            raise ModelTrainerMismatch(detail, **facts)
        full = {**params, "model": full_name}
        leaks = leak or parent.leak  # what the parent has learnt, its child has
        row = add_run(session, job_id, trainer=trainer, params=full, parent_id=parent.id, leak=leaks)
        on_commit(session, row)
    enqueue_run(platform, row)
    return row


def find_weights(db: Database, version_id: str) -> ArtifactRow | None:
    """The artifact with the weights of a version; None when it was deleted."""
    same = (ArtifactRow.version_id == VersionRow.id, ArtifactRow.name == VersionRow.weights_name)
    living = (VersionRow.id == version_id, VersionRow.deleted_at.is_(None))
    with db.reading() as session:
        return session.execute(select(ArtifactRow).join(VersionRow, *same[:1]).where(*same[1:], *living)).scalar()


def _parent(session: Session, job_id: str, name: ModelName, field: str) -> tuple[VersionRow, str]:
    """The version and its full name. Its project is locked: nothing of it is deleted before the run is committed."""
    ref = name.project or job_in(session, job_id).project_id
    try:
        project = project_in(session, ref, lock=True, follow=True)
        version = version_in(session, Line(project, None), version=name.version, alias=name.alias)
    except (NotFound, Gone) as error:
        errors = [{"field": field, "message": error.detail}]
        raise ParamsInvalid(not_valid(errors), errors=errors) from error
    return version, version_name(project.slug, version.number)
