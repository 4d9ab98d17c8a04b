"""A project with a history: five datasets, twelve versions, fine-tunes, an import, a deletion, two aliases."""

import hashlib
from typing import Any

from sqlalchemy import update

from core import clock
from core.db.tables import JobRow, RunRow, VersionRow
from core.domain.ids import new_id
from core.services.context import Platform
from core.services.jobs.commands import new_job_id, receive_job
from core.services.jobs.deletion import delete_job
from core.services.models.fine_tuning import queue_training
from core.services.models.versions import set_alias
from core.services.projects.lookup import next_version, project_in
from core.services.runs import lifecycle as training
from core.services.runs.commands import cancel_run
from core.services.work.leases import claim_row
from tests.builders.rows import LEASE, complete

SLUG = "raccoons"


def dataset(platform: Platform, name: str, *, project: str = SLUG, images: int = 240) -> JobRow:
    """The next ready dataset of a project."""
    job_id = new_job_id()
    receive_job(
        platform,
        job_id,
        name=name,
        options={"seed": 0},
        source_name="data.zip",
        source_bytes=10,
        source_sha256="0" * 64,
        project=project,
    )
    claimed = claim_row(platform.db, JobRow, job_id, "w", lease_seconds=LEASE)
    assert claimed is not None
    fingerprint = hashlib.sha256(job_id.encode()).hexdigest()
    row = complete(platform, claimed[0], fingerprint=fingerprint, classes=("circle", "square", "star", "triangle"))
    assert row is not None
    with platform.db.transaction() as session:
        session.execute(update(JobRow).where(JobRow.id == job_id).values(images=images))
    return row


def run(platform: Platform, job_id: str, *, parent: VersionRow | None = None, model: str = "yolov8n") -> RunRow:
    """A queued run, fine-tuned from `parent`."""
    params = {"model": f"v{parent.number}" if parent else model, "epochs": 5 if parent else 30}
    return queue_training(platform, job_id, trainer="yolo", params=params)


def version(
    platform: Platform, job_id: str, mAP50: float, *, parent: VersionRow | None = None, model: str = "yolov8n"
) -> VersionRow:
    """Of a run that succeeded."""
    queued = run(platform, job_id, parent=parent, model=model)
    claimed = claim_row(platform.db, RunRow, queued.id, "w", lease_seconds=LEASE)
    assert claimed is not None
    weights = training.PublishedArtifact(
        "best.pt", f"runs/{queued.id}/best.pt", 5, "3" * 64, "application/octet-stream"
    )
    metrics = {"val": {"mAP50": 0.5}, "test": {"mAP50": mAP50}}
    return training.publish_version(
        platform.db, claimed[0], metrics=metrics, weights_name="best.pt", artifacts=[weights], log_key=None
    )


def imported(platform: Platform, *, project: str = SLUG, metrics: dict[str, Any] | None = None) -> VersionRow:
    """A version without a run, as an import leaves it."""
    with platform.db.transaction() as session:
        project_id = project_in(session, project).id
        row = VersionRow(
            id=new_id("version", clock.now_ms()),
            project_id=project_id,
            number=next_version(session, project_id),
            origin="imported",
            attempt=1,
            trainer="yolo",
            params={},
            metrics=metrics or {},
            weights_name="best.pt",
            created_at=clock.now(),
        )
        session.add(row)
    return row


def history(platform: Platform) -> None:
    """What a line of models looks like after a year."""
    first = dataset(platform, "January, all cameras.zip", images=1240)
    v1 = version(platform, first.id, 0.612)
    v2 = version(platform, first.id, 0.688, model="yolov8s")
    for _ in range(3):
        cancel_run(platform.db, run(platform, first.id).id)
    second = dataset(platform, "February: cameras 3 and 4 were turned towards the water.zip", images=860)
    v3 = version(platform, second.id, 0.731, parent=v2)
    gone = dataset(platform, "Sent by mistake.zip", images=75)
    v4 = version(platform, gone.id, 0.402, parent=v3)
    v5 = imported(platform, metrics={"test": {"mAP50": 0.655}})
    third = dataset(platform, "<script>alert('raccoon')</script> & Söhne 浣熊の写真データセット.zip", images=2310)
    v6 = version(platform, third.id, 0.794, parent=v5)
    v7 = version(platform, third.id, 0.823, parent=v4)
    version(platform, third.id, 0.777)
    fourth = dataset(platform, "June to August", images=5400)
    v9 = version(platform, fourth.id, 0.871, parent=v7)
    version(platform, first.id, 0.702, parent=v1)
    v11 = version(platform, fourth.id, 0.902, parent=v9, model="yolov8m")
    version(platform, fourth.id, 0.884, parent=v6)
    run(platform, fourth.id, parent=v11)
    delete_job(platform, gone.id)
    set_alias(platform.db, SLUG, "production", version="v9")
    set_alias(platform.db, SLUG, "production-of-the-northern-water-treatment-plants", version="v9")
    set_alias(platform.db, SLUG, "candidate_that_is_compared_on_the_cameras_of_the_harbour_site", version="v11")
