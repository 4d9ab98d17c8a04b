"""Jobs, runs and operations as lines of a list of what moves, with their progress."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.db import Database
from core.db.tables import JobRow, OperationRow, RunRow
from core.domain.main_metrics import MAIN
from core.domain.model_names import dataset_name
from core.services.operations.kinds import (
    BUNDLE,
    EVALUATE,
    EXPORT,
    EXPORT_DATASET,
    FREEZE,
    IMAGE_INDEX,
    PREDICT_BATCH,
    PURGE,
)
from core.services.projects.lookup import slugs_of
from core.services.work.active import ActiveWork

STEPS = {  # of a preparation, in their order
    "fetching": "Fetch the ZIP",
    "extracting": "Unpack it",
    "reading": "Read the annotations",
    "checking": "Check images and boxes",
    "splitting": "Split",
    "fingerprinting": "Fingerprint",
    "writing": "Write the dataset",
    "drawing": "Draw samples and plots",
    "storing": "Store it",
}
MADE_FIRST = {  # where the worker makes the ZIP
    "importing": "Get the images",
    "repairing": "Repair the ZIP",
    "extending": "Add to the dataset that it extends",
}
_OPERATIONS: Mapping[str, str] = {
    IMAGE_INDEX: "Index the images",
    EXPORT: "Export a version",
    EVALUATE: "Evaluate a version",
    BUNDLE: "Bundle a version",
    PREDICT_BATCH: "Predict a batch",
    PURGE: "Free room",
    EXPORT_DATASET: "Export a dataset",
    FREEZE: "Freeze a test set",
}


@dataclass(frozen=True, slots=True)
class WorkItem:
    """`share`: 0 to 1 of `step`, None while it is not known. `left_seconds`: of the whole. `project`: its name."""

    id: str
    kind: str  # job, run, operation
    title: str
    about: str
    href: str
    project: str | None
    state: str
    step: str
    share: float | None
    note: str
    left_seconds: float | None
    figures: Mapping[str, float]


def work_items(db: Database, work: ActiveWork) -> list[WorkItem]:
    """What is worked on first, then what waits, each in the order of its ids."""
    slugs = slugs_of(db, {row.project_id for row in work.operations if row.project_id})
    items = [
        *(run_item(row) for row in work.runs),
        *(job_item(row) for row in work.jobs),
        *(operation_item(row, slugs.get(row.project_id or "")) for row in work.operations),
    ]
    return sorted(items, key=lambda item: item.state in ("queued", "received"))


def job_item(row: JobRow) -> WorkItem:
    share, note = progress_of(row.progress)
    return WorkItem(
        id=row.id,
        kind="job",
        title=dataset_name(row.project, row.revision),
        about=f"Preparing {row.source_name or row.name}",
        href=f"/ui/datasets/{row.id}",
        project=row.project,
        state=row.state,
        step=step_name(row.stage) or ("Waits for a worker" if row.state == "received" else "Begins"),
        share=share,
        note=note,
        left_seconds=None,
        figures={},
    )


def run_item(row: RunRow) -> WorkItem:
    progress = row.progress or {}
    epoch, epochs = progress.get("epoch"), progress.get("epochs")
    measured = progress.get("metrics") or {}
    stage = (row.stage or "").capitalize()
    return WorkItem(
        id=row.id,
        kind="run",
        title=f"Training on {row.project}",
        about=" · ".join(str(part) for part in (row.trainer, row.params.get("model")) if part),
        href=f"/ui/runs/{row.id}",
        project=row.project,
        state=row.state,
        step=stage or ("Waits for a worker" if row.state == "queued" else "Begins"),
        share=epoch / epochs if isinstance(epoch, int | float) and epochs else None,
        note=f"epoch {epoch} of {epochs}" if epoch is not None and epochs else "",
        left_seconds=progress.get("seconds_left") or None,
        figures={name: float(measured[name]) for name in MAIN[:1] if isinstance(measured.get(name), int | float)},
    )


def operation_item(row: OperationRow, project: str | None) -> WorkItem:
    share, note = progress_of(row.progress)
    stage = (row.stage or "").capitalize()
    return WorkItem(
        id=row.id,
        kind="operation",
        title=_OPERATIONS.get(row.kind, row.kind.replace("-", " ").capitalize()),
        about=str(row.params.get("version") or row.params.get("dataset") or project or ""),
        href=f"/ui/datasets/{row.job_id}" if row.job_id and row.kind in (EXPORT_DATASET, FREEZE) else "/ui/system",
        project=project,
        state=row.state,
        step=stage or ("Waits for a worker" if row.state == "queued" else "Begins"),
        share=share,
        note=note,
        left_seconds=None,
        figures={},
    )


def is_freezing(work: ActiveWork) -> bool:
    """Whether a test set is about to be frozen."""
    return any(row.kind == FREEZE for row in work.operations)


def step_name(stage: str | None) -> str:
    return (STEPS | MADE_FIRST).get(stage or "", (stage or "").capitalize())


def progress_of(progress: Mapping[str, Any] | None) -> tuple[float | None, str]:
    """Of `{done, total}`: the share of one, and both as text."""
    done, total = (progress or {}).get("done"), (progress or {}).get("total")
    if not isinstance(done, int | float) or not isinstance(total, int | float) or total <= 0:
        return None, ""
    return min(1.0, done / total), f"{done:,.0f} of {total:,.0f}"
