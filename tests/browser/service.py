"""A service with something of everything to look at: datasets that are ready, rejected and extended, runs, versions.

The API runs in this process; `prepare` is the real worker, the others' children only pretend to work.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.db.migrate import upgrade
from darkroom import Client
from darkroom.schemas import Dataset
from deploy.local.scenes import write_archive
from tests.builders.voc import FAULTS, Files, voc_files, zip_files
from tests.servers.api import serving
from tests.servers.workers import Stack, stack

PROJECT = "shapes"
EPOCHS = 3


@dataclass
class Service:
    """`examples`: a value for each parameter in the addresses of pages."""

    url: str
    line: Stack
    client: Client
    folder: Path
    examples: dict[str, str] = field(default_factory=dict)

    def train(self, dataset: Dataset, **params: Any) -> str:
        """The id of a run, which pretends."""
        chosen = {"model": "yolov8n", "epochs": EPOCHS, "pretrained": "never", **params}
        return self.client.runs.train(dataset, trainer="yolo", params=chosen).run_id


@contextmanager
def service(folder: Path) -> Iterator[Service]:
    """Empty, with its workers."""
    url = f"sqlite:///{folder / 'darkroom.db'}"
    upgrade(url)
    with stack(folder, url, "", export_on_publish=False) as line, serving(line.platform) as api, Client(str(api.base_url)) as client:
        line.start("prepare")
        line.start("train", scripted=True)
        yield Service(str(api.base_url), line, client, folder)


def furnish(made: Service) -> None:
    """shapes/d1 and d2, which extends it, each with a version; a rejected dataset; `examples`."""
    client, folder = made.client, made.folder
    write_archive(folder / "shapes.zip", scenes=24, seed=0)
    write_archive(folder / "more.zip", scenes=8, seed=2)
    first = client.datasets.upload(folder / "shapes.zip", project=PROJECT)
    run = client.runs.wait(made.train(first))
    client.aliases.set(PROJECT, "production", "v1")
    second = client.datasets.upload(folder / "more.zip", extends=first)
    client.runs.wait(made.train(second))
    image = next(iter(client.datasets.images(second)))
    client.corrections.add(second, [{"image": image.path, "remove": True}])
    zip_files(folder / "faulty.zip", faulty_files())
    rejected = client.datasets.wait(client.datasets.upload(folder / "faulty.zip", project="faulty", wait=False), check=False)
    assert rejected.state == "rejected", rejected
    made.examples |= {
        "project": PROJECT,
        "job_id": second.job_id,
        "a": first.job_id,
        "b": second.job_id,
        "before": first.job_id,
        "after": second.job_id,
        "run_id": run.run_id,
        "n": "1",
        "number": "1",
        "version": "v1",
        "sha256": image.sha256,
        "slug": "job-not-ready",
        "rejected": rejected.job_id,
    }


def faulty_files() -> Files:
    """What nobody can train on: with errors in several images, and warnings."""
    files = voc_files()
    FAULTS["box_outside"](files)
    files["annotations/p01.xml"] = files["annotations/p01.xml"][:-20]
    files["images/p02.jpg"] = files["images/p02.jpg"][:200]
    return files
