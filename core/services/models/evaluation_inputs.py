"""What an evaluation works on: the artifacts of a version or the file of an export, and what was trained on what."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db import Database
from core.db.tables import ArtifactRow, DatasetRow, ExportRow, JobRow, VersionRow
from core.domain.model_names import dataset_name
from core.services.jobs.lifecycle import LIVE
from core.services.models.evaluations import raise_if_deleted_in

_UNTRAINED = "zero-shot"  # the mode of a clip version that has seen no image of its dataset


class TrainedSet(NamedTuple):
    """`name`: `raccoons/d2`."""

    name: str
    dataset: DatasetRow


@dataclass(frozen=True, slots=True)
class TrainedOn:
    """The sets that a version and its parents were trained on, as far as they are known and stored.

    `is_known`: that is all of them. It is not for an imported version, and where a set was deleted.
    """

    sets: Sequence[TrainedSet]
    is_known: bool


@dataclass(frozen=True, slots=True)
class EvaluationInputs:
    """`export`: what is evaluated in place of the version. `dataset` is live."""

    trainer: str
    thresholds: dict[str, Any] | None
    artifacts: Sequence[ArtifactRow]
    export: ExportRow | None
    dataset: DatasetRow | None
    trained_on: TrainedOn


def evaluation_inputs(db: Database, params: dict[str, Any]) -> EvaluationInputs:
    """`params`: of the operation. Raises OperationFailed where the version, the export or the dataset was deleted."""
    with db.reading() as session:
        raise_if_deleted_in(session, params)
        version = session.get_one(VersionRow, params["version_id"])
        export_id, fingerprint = params["export_id"], params["fingerprint"]
        mine = select(ArtifactRow).where(ArtifactRow.version_id == version.id).order_by(ArtifactRow.name)
        # Of a version, its artifacts have them: the row keeps those of the first classes.
        thresholds = version.metrics.get("thresholds") if export_id else None
        return EvaluationInputs(
            trainer=version.trainer,
            thresholds=thresholds if isinstance(thresholds, dict) else None,
            artifacts=[] if export_id else list(session.execute(mine).scalars()),
            export=session.get(ExportRow, export_id) if export_id else None,
            dataset=next(iter(_live_sets(session, [fingerprint])), None),
            trained_on=trained_on_in(session, version.id),
        )


def trained_on_in(session: Session, version_id: str) -> TrainedOn:
    """By the version and its parents."""
    mode = VersionRow.params["mode"].as_string().label("mode")
    columns = (VersionRow.id, VersionRow.parent_id, VersionRow.job_id, VersionRow.fingerprint, mode)
    line = select(*columns).where(VersionRow.id == version_id).cte("line", recursive=True)
    line = line.union(select(*columns).join(line, line.c.parent_id == VersionRow.id))
    named = select(line.c.fingerprint, line.c.mode, JobRow.project, JobRow.revision)
    rows = session.execute(named.outerjoin(JobRow, JobRow.id == line.c.job_id)).all()
    names = {
        fingerprint: dataset_name(slug, revision) if slug else ""
        for fingerprint, mode, slug, revision in rows
        if mode != _UNTRAINED
    }
    sets = _live_sets(session, sorted(fingerprint for fingerprint in names if fingerprint))
    return TrainedOn([TrainedSet(names[each.fingerprint], each) for each in sets], is_known=len(sets) == len(names))


def _live_sets(session: Session, fingerprints: list[str]) -> list[DatasetRow]:
    live = select(DatasetRow).where(DatasetRow.fingerprint.in_(fingerprints), DatasetRow.state == LIVE)
    return list(session.execute(live.order_by(DatasetRow.fingerprint)).scalars())
