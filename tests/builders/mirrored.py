"""Rows that MLflow mirrors, through the use cases that write them, and what MLflow has of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import select

from core import clock
from core.db.tables import ArtifactRow, JobRow, ProjectRow, RunRow, VersionRow
from core.services.context import Platform, open_platform
from core.services.projects.lookup import next_version
from core.services.runs import lifecycle as training
from core.services.work.leases import Claim, claim_row, report_progress
from core.settings import Settings
from tests.builders.rows import queued_run
from worker.tasks.mlflow_sync import MlflowSync

PUBLIC_URL = "https://darkroom.example"
VIEW = "?workflowType=machine_learning"


@contextmanager
def mirroring(home: Path, database_url: str, mlflow_url: str) -> Iterator[Platform]:
    opened = open_platform(Settings(home=home, database_url=database_url, mlflow_url=mlflow_url, public_url=PUBLIC_URL))
    yield opened
    opened.db.close()


def mirror(platform: Platform) -> None:
    MlflowSync(platform, "test")()


def trained(platform: Platform, job_id: str, tmp_path: Path) -> Claim:
    """A running run with two reported epochs and a sample of the system."""
    claimed = claim_row(platform.db, RunRow, queued_run(platform, job_id).id, "w", lease_seconds=60)
    assert claimed is not None
    claim = claimed[0]
    for epoch in (1, 2):
        progress = {"epoch": epoch, "epochs": 2, "metrics": {"mAP50": epoch / 4, "loss": None}, "seconds_left": 1.0}
        report_progress(platform.db, RunRow, claim, progress=progress)
    sample = {"cpu_percent": 90.0, "memory_bytes": 1e9}
    report_progress(platform.db, RunRow, claim, "system", extra={"system": sample})
    return claim


def published(platform: Platform, claim: Claim, tmp_path: Path, classes: Sequence[str] = ("star",)) -> VersionRow:
    artifacts = []
    for name in ("best.pt", "model.json", "metrics.json", "curve.png"):
        (tmp_path / name).write_text(f"{name} of {claim.id}")
        stored = platform.store.put(f"runs/{claim.id}/{claim.attempt}/artifacts/{name}", tmp_path / name)
        artifacts.append(training.PublishedArtifact(name, stored.key, stored.bytes, stored.sha256, "text/plain"))
    per_class = {name: {"mAP50": 0.8, "f1": number / 8} for number, name in enumerate(classes)}
    metrics = {"test": {"mAP50": 0.9, "per_class": per_class}, "speed": {"ms": 3}}
    return training.publish_version(
        platform.db, claim, metrics=metrics, weights_name="best.pt", artifacts=artifacts, log_key=None
    )


def project_of(platform: Platform, job_id: str) -> ProjectRow:
    with platform.db.reading() as session:
        joined = select(ProjectRow).join(JobRow, JobRow.project_id == ProjectRow.id)
        return session.execute(joined.where(JobRow.id == job_id)).scalar_one()


def client(url: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=url, registry_uri=url)


def old_copies(see: Any, job_id: str, *run_ids: str) -> tuple[str, dict[str, str]]:
    """An experiment and a registered model as they were made before there were projects: the first run is v1."""
    job_tags = {"darkroom_job": job_id, "darkroom_job_name": "raccoons"}
    experiment_id = see.create_experiment(job_id, tags=job_tags)
    runs = {
        run_id: see.create_run(experiment_id, tags={"darkroom_run": run_id, **job_tags}, run_name=run_id).info.run_id
        for run_id in run_ids
    }
    see.set_terminated(runs[run_ids[0]])
    see.create_registered_model(job_id, tags=job_tags)
    tags = {"darkroom_version": "v1", "darkroom_run": run_ids[0], "darkroom_job": job_id}
    source = f"runs:/{runs[run_ids[0]]}/model"
    see.create_model_version(job_id, source, run_id=runs[run_ids[0]], await_creation_for=0, tags=tags)
    see.set_registered_model_alias(job_id, "production", "1")
    return experiment_id, runs


def imported_version(platform: Platform, project: ProjectRow, job: JobRow, tmp_path: Path) -> VersionRow:
    """Evaluated on the dataset of `job`."""
    (tmp_path / "best.pt").write_bytes(b"weights")
    stored = platform.store.put("imports/1/best.pt", tmp_path / "best.pt")
    with platform.db.transaction() as session:
        version = VersionRow(
            id=f"version_of_{project.slug}",
            project_id=project.id,
            number=next_version(session, project.id),
            origin="imported",
            attempt=1,
            trainer="yolo",
            params={
                "source": {"name": "theirs.pt", "bytes": 7, "sha256": stored.sha256},
                "dataset": {"job_id": job.id, "fingerprint": job.fingerprint},
            },
            metrics={"test": {"mAP50": 0.75}},
            weights_name="best.pt",
            artifacts=[],
            created_at=clock.now(),
        )
        session.add(version)
        session.flush()
        file = {"key": stored.key, "bytes": stored.bytes, "sha256": stored.sha256, "media_type": "text/plain"}
        session.add(ArtifactRow(version_id=version.id, name="best.pt", **file))
    return version


def sync_of(platform: Platform, *, mlflow_url: str) -> MlflowSync:
    """A sync of the same rows with another MLflow."""
    settings = platform.settings.model_copy(update={"mlflow_url": mlflow_url})
    return MlflowSync(Platform(settings, platform.db, platform.store, platform.queue), "test")
