"""The tables. Rows are snapshots: sessions do not expire them, and every change is an UPDATE with guards."""

from core.db.base import Base
from core.db.tables.batch_predictions import BatchPredictionArtifactRow, BatchPredictionRow
from core.db.tables.exports import BundleRow, EvaluationArtifactRow, EvaluationRow, ExportRow
from core.db.tables.growing import CorrectionRow, DatasetExportRow, TestSetRow
from core.db.tables.jobs import DatasetRow, FindingRow, JobRow
from core.db.tables.models import AliasMoveRow, AliasRow, ArtifactRow, RunLogRow, RunRow, VersionRow
from core.db.tables.operations import OperationRow
from core.db.tables.projects import ProjectRow, ProjectSlugRow
from core.db.tables.service import EventRow, IdempotencyRow, LockRow, SessionRow, TotalRow, WorkerRow
from core.db.tables.uploads import UploadPartRow, UploadRow

__all__ = [
    "METADATA",
    "AliasMoveRow",
    "AliasRow",
    "ArtifactRow",
    "BatchPredictionArtifactRow",
    "BatchPredictionRow",
    "BundleRow",
    "CorrectionRow",
    "DatasetExportRow",
    "DatasetRow",
    "EvaluationArtifactRow",
    "EvaluationRow",
    "EventRow",
    "ExportRow",
    "FindingRow",
    "IdempotencyRow",
    "JobRow",
    "LockRow",
    "OperationRow",
    "ProjectRow",
    "ProjectSlugRow",
    "RunLogRow",
    "RunRow",
    "SessionRow",
    "TestSetRow",
    "TotalRow",
    "UploadPartRow",
    "UploadRow",
    "VersionRow",
    "WorkerRow",
]

METADATA = Base.metadata  # of every table above
