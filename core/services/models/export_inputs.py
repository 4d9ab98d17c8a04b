"""What an export is made of: the artifacts of its version, and the dataset on which it is compared with the model."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db import Database
from core.db.tables import ArtifactRow, JobRow, VersionRow
from core.domain.errors import OperationFailed
from core.domain.model_names import version_name
from core.domain.states import JobState
from core.services.projects.lookup import project_in

_BESIDE_WEIGHTS = ("data.yaml", "metrics.json", "model.json")


@dataclass(frozen=True, slots=True)
class ExportInputs:
    """`trained_on`, `compared_on`: fingerprints; None for an imported version, and for one without any dataset."""

    version_id: str
    name: str
    trainer: str
    artifacts: Sequence[ArtifactRow]
    trained_on: str | None
    compared_on: str | None


def export_inputs(db: Database, version_id: str) -> ExportInputs:
    """Raises OperationFailed for a deleted version."""
    with db.reading() as session:
        version = session.get_one(VersionRow, version_id)
        if version.deleted_at is not None:
            raise OperationFailed("The version was deleted.", version_id=version_id)
        wanted = (ArtifactRow.version_id == version_id, ArtifactRow.name.in_((*_BESIDE_WEIGHTS, version.weights_name)))
        return ExportInputs(
            version_id=version_id,
            name=version_name(project_in(session, version.project_id).slug, version.number),
            trainer=version.trainer,
            artifacts=list(session.execute(select(ArtifactRow).where(*wanted).order_by(ArtifactRow.name)).scalars()),
            trained_on=version.fingerprint,
            compared_on=version.fingerprint or _set_of_import(session, version),
        )


def _set_of_import(session: Session, version: VersionRow) -> str | None:
    """The one that it was evaluated on, else the newest of its project."""
    mine = (JobRow.project_id == version.project_id, JobRow.state == str(JobState.READY))
    newest = select(JobRow.fingerprint).where(*mine).order_by(JobRow.id.desc()).limit(1)
    evaluated_on = (version.params.get("dataset") or {}).get("job_id")
    chosen = session.execute(newest.where(JobRow.id == evaluated_on)).scalar() if evaluated_on else None
    return chosen or session.execute(newest).scalar()
