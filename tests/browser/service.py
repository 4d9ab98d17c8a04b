"""A service with something of everything to look at: datasets, rejected and ready, runs in several states, versions."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core.db.migrate import upgrade
from core.db.tables import EvaluationRow, JobRow, RunRow, VersionRow
from core.domain.errors import WeightsUnavailable
from core.services.context import Platform, open_platform
from core.services.models.versions import set_alias
from core.services.runs.logs import note_log_tail
from core.services.work.endings import fail_attempt
from core.services.work.leases import report_progress
from core.settings import Settings
from darkroom import Client
from pipeline.evaluation.detection_metrics import ImageBoxes
from pipeline.samples.scenes import write_archive
from tests.builders import answered, published, rows
from tests.builders.prepared import prepared_job
from tests.builders.voc import FAULTS, Files, voc_files, zip_files
from tests.servers.api import serving

PROJECT = "shapes"
EPOCHS = 6


@dataclass
class Service:
    """`examples`: a value for each parameter in the addresses of pages. `more`: other states of pages."""

    url: str
    platform: Platform
    client: Client
    examples: dict[str, str] = field(default_factory=dict)
    more: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@contextmanager
def service(folder: Path, **settings: Any) -> Iterator[Service]:
    """Empty, without workers."""
    url = f"sqlite:///{folder / 'darkroom.db'}"
    upgrade(url)
    platform = open_platform(Settings(home=folder / "home", database_url=url, **settings))
    token = platform.settings.api_token.get_secret_value()
    with serving(platform) as api, Client(str(api.base_url), token=token) as client:
        yield Service(str(api.base_url), platform, client)
    platform.db.close()


def furnish(made: Service, folder: Path) -> None:
    """shapes/d1 and d2 with v1 and v2, a run that runs and one that failed; a dataset that was rejected."""
    platform = made.platform
    write_archive(folder / "shapes.zip", scenes=24, seed=0)
    write_archive(folder / "more.zip", scenes=12, seed=0)
    zip_files(folder / "faulty.zip", faulty_files())
    first = prepared_job(platform, folder / "shapes.zip", project=PROJECT)
    second = prepared_job(platform, folder / "more.zip", project=PROJECT)
    rejected = prepared_job(platform, folder / "faulty.zip", project="faulty")
    assert (first.state, second.state, rejected.state) == ("ready", "ready", "rejected"), rejected.problem
    waiting = rows.received_job(platform, project="waiting")
    image = next(iter(made.client.datasets.images(second.id)))
    artifacts = {"suspect_labels.json": suspects(image.path)}
    versions = [published.version(platform, job.id, b"weights", artifacts=artifacts) for job in (first, second)]
    for version, mistakes in zip(versions, (3, 1), strict=True):
        evaluate(made, version, first, mistakes=mistakes)
    set_alias(platform.db, ref=PROJECT, alias="production", version="v1")
    running = _run(platform, second.id)
    failed = _run(platform, second.id)
    fail_attempt(platform.db, RunRow, failed, WeightsUnavailable("There is no network."))
    made.client.corrections.add(second.id, [{"image": image.path, "remove": True}])
    made.examples |= {
        **{"project": PROJECT, "job_id": second.id, "run_id": str(versions[0].run_id), "slug": "job-not-ready"},
        **{"a": first.id, "b": second.id, "before": first.id, "after": second.id},
        **{"n": "1", "number": "1", "version": "v1", "sha256": image.sha256},
    }
    made.more += [
        *(("/ui/datasets/{job_id}", {"job_id": job.id}) for job in (first, rejected, waiting)),
        ("/ui/datasets/{job_id}/findings", {"job_id": rejected.id}),
        *(("/ui/projects/{project}", {"project": name}) for name in ("faulty", "waiting")),
        *(("/ui/runs/{run_id}", {"run_id": claim.id}) for claim in (running, failed)),
    ]


def evaluate(made: Service, version: VersionRow, job: JobRow, *, mistakes: int) -> EvaluationRow:
    """On the test split: so many of its boxes are taken for the next class, all others are found."""
    classes, boxes = tuple(job.classes or ()), {}
    for image in made.client.datasets.images(job.id, split="test"):
        truth = np.array(
            [
                [classes.index(each.class_), each.x, each.y, each.x + each.width, each.y + each.height]
                for each in image.boxes
            ]
        ).reshape(-1, 5)
        found = np.column_stack((truth[:, 1:], np.full(len(truth), 0.9), truth[:, 0]))
        found[:mistakes, 5] = (found[:mistakes, 5] + 1) % len(classes)
        mistakes = max(0, mistakes - len(found))
        boxes[image.path] = ImageBoxes(truth, found)
    return answered.evaluated_detector(made.platform, version, job, boxes, classes)


def _run(platform: Platform, job_id: str) -> Any:
    """In the middle of its epochs."""
    claim = rows.running_run(platform, job_id, lease=3600)
    report_progress(platform.db, RunRow, claim, stage="training")
    for epoch in range(1, EPOCHS + 1):
        metrics = {"mAP50": 0.1 * epoch, "train/box_loss": 2.0 / epoch, "val/box_loss": 2.2 / epoch}
        progress = {"epoch": epoch, "epochs": 2 * EPOCHS, "metrics": metrics, "seconds_left": 60.0}
        report_progress(platform.db, RunRow, claim, progress=progress)
        sample = {"cpu_percent": 90.0 + epoch, "memory_bytes": 1e9}
        report_progress(platform.db, RunRow, claim, "system", extra={"system": sample})
    note_log_tail(platform.db, claim, published.LOG, total_bytes=len(published.LOG))
    return claim


def suspects(path: str) -> bytes:
    """An artifact of a version: a label of the image at `path` that is likely wrong."""
    label = {"path": path, "label": "circle", "label_probability": 0.02, "flagged": "yes"}
    found = {"images": 24, "flagged": 1, "out_of_fold_accuracy": 0.9}
    return json.dumps(found | {"labels": [label | {"suggested": "star", "suggested_probability": 0.97}]}).encode()


def faulty_files() -> Files:
    """What nobody can train on: errors in several images."""
    files = voc_files()
    FAULTS["box_outside"](files)
    files["annotations/p01.xml"] = files["annotations/p01.xml"][:-20]
    files["images/p02.jpg"] = files["images/p02.jpg"][:200]
    return files
