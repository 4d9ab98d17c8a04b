"""What an evaluation works on: the artifacts of a version or the file of an export, and what was trained on what."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db import Database
from core.db.tables import ArtifactRow, DatasetRow, ExportRow, VersionRow
from core.services.jobs.lifecycle import LIVE
from core.services.models.evaluations import raise_if_deleted_in

_UNTRAINED = "zero-shot"  # the mode of a clip version that has seen no image of its dataset


@dataclass(frozen=True, slots=True)
class TrainedOn:
    """The sets that a version and its parents were trained on, as far as they are known and stored.

    `is_known`: that is all of them. It is not for an imported version, and where a set was deleted.
    """

    sets: Sequence[DatasetRow]
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
        thresholds = version.metrics.get("thresholds")
        return EvaluationInputs(
            trainer=version.trainer,
            thresholds=thresholds if isinstance(thresholds, dict) else None,
            artifacts=[] if export_id else list(session.execute(mine).scalars()),
            export=session.get(ExportRow, export_id) if export_id else None,
            dataset=next(iter(_live_sets(session, [fingerprint])), None),
            trained_on=_trained_on(session, version.id),
        )


def _trained_on(session: Session, version_id: str) -> TrainedOn:
    columns = (VersionRow.id, VersionRow.parent_id, VersionRow.fingerprint, VersionRow.params["mode"].as_string())
    line = select(*columns).where(VersionRow.id == version_id).cte("line", recursive=True)
    line = line.union(select(*columns).join(line, line.c.parent_id == VersionRow.id))
    rows = session.execute(select(line)).all()
    seen = [fingerprint for _, _, fingerprint, mode in rows if mode != _UNTRAINED]
    fingerprints = sorted({each for each in seen if each is not None})
    sets = _live_sets(session, fingerprints)
    return TrainedOn(sets, is_known=None not in seen and len(sets) == len(fingerprints))


def _live_sets(session: Session, fingerprints: list[str]) -> list[DatasetRow]:
    live = select(DatasetRow).where(DatasetRow.fingerprint.in_(fingerprints), DatasetRow.state == LIVE)
    return list(session.execute(live.order_by(DatasetRow.fingerprint)).scalars())
