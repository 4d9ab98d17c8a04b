"""What a bundle is made of: the artifacts of its version, its ONNX, and the facts for its model card."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from core.db import Database
from core.db.tables import ArtifactRow, ExportRow, JobRow, RunRow, VersionRow
from core.domain.errors import ExportNotFound, Gone, OperationFailed
from core.domain.model_names import dataset_name, version_name
from core.domain.version import VERSION
from core.services.models.exports import living_export_in
from core.services.projects.lookup import project_in

_NAMES = ("metrics.json", "model.json")


@dataclass(frozen=True, slots=True)
class BundleInputs:
    """`artifacts`: weights, model.json, metrics.json and plots. `metadata_key`: of the dataset that the version was
    trained on, None of an imported one. `version`: JSON values, as `pipeline.process.specs.BundleSpec` describes."""

    artifacts: Sequence[ArtifactRow]
    export: ExportRow
    metadata_key: str | None
    metadata_sha256: str | None
    version: dict[str, Any]


def bundle_inputs(db: Database, version_id: str, export_id: str) -> BundleInputs:
    """Raises OperationFailed where either was deleted."""
    with db.reading() as session:
        version = session.get_one(VersionRow, version_id)
        if version.deleted_at is not None:
            raise OperationFailed("The version was deleted.", version_id=version_id)
        job = session.get_one(JobRow, version.job_id) if version.job_id else None
        return BundleInputs(
            artifacts=_artifacts(session, version),
            export=_export(session, export_id),
            metadata_key=job.metadata_key if job else None,
            metadata_sha256=job.metadata_sha256 if job else None,
            version=_facts(session, version, job),
        )


def _artifacts(session: Session, version: VersionRow) -> list[ArtifactRow]:
    named = ArtifactRow.name.in_((*_NAMES, version.weights_name))
    wanted = (ArtifactRow.version_id == version.id, or_(named, ArtifactRow.name.endswith(".png")))
    return list(session.execute(select(ArtifactRow).where(*wanted).order_by(ArtifactRow.name)).scalars())


def _export(session: Session, export_id: str) -> ExportRow:
    try:
        return living_export_in(session, export_id)
    except (ExportNotFound, Gone) as error:
        raise OperationFailed("The ONNX of the bundle was deleted.", export_id=export_id) from error


def _facts(session: Session, version: VersionRow, job: JobRow | None) -> dict[str, Any]:
    project = project_in(session, version.project_id)
    run = session.get(RunRow, version.run_id) if version.run_id else None
    parent = session.get(VersionRow, version.parent_id) if version.parent_id else None
    return {
        "name": version_name(project.slug, version.number),
        "version_id": version.id,
        "project": project.slug,
        "number": version.number,
        "origin": version.origin,
        "trainer": version.trainer,
        "params": version.params,
        "fingerprint": version.fingerprint,
        "parent": {"name": version_name(parent.project, parent.number), "version_id": parent.id} if parent else None,
        "dataset": _dataset(job) if job else None,
        "evaluated_on": _dataset(job or _set_of_import(session, version)),
        "leak": version.leak,
        "notes": run.notes or {} if run else {},
        "created_at": version.created_at.isoformat(timespec="milliseconds"),
        "darkroom": VERSION,
    }


def _set_of_import(session: Session, version: VersionRow) -> JobRow | None:
    """The one that an imported version was evaluated on, unless it was deleted."""
    job_id = (version.params.get("dataset") or {}).get("job_id")
    row = session.get(JobRow, job_id) if job_id else None
    return row if row is not None and row.deleted_at is None else None


def _dataset(job: JobRow | None) -> dict[str, Any] | None:
    if job is None:
        return None
    return {
        "name": dataset_name(job.project, job.revision),
        "job_id": job.id,
        "source_name": job.source_name,
        "huggingface": (job.huggingface or {}).get("repository"),
    }
