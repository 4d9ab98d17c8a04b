"""A stack of real worker processes over a database, a folder store and a broker of the test's own."""

import hashlib
import os
import signal
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
from pydantic import SecretStr

from core.db.tables import JobRow, OperationRow, RunRow
from core.domain.keys import dataset_key, metadata_key, upload_key
from core.domain.states import JOB_ENDED, RUN_ENDED
from core.services.context import Platform, open_platform
from core.services.jobs import lifecycle as preparing
from core.services.jobs.commands import get_job, new_job_id, receive_job
from core.services.operations.commands import get_operation, queue_operation
from core.services.runs.commands import get_run, queue_run
from core.services.work.leases import claim_row
from core.settings import Settings
from pipeline.samples.scenes import write_archive
from tests import REPOSITORY
from tests.builders.training import draw_tree
from tests.builders.warm_children import WORKERS, WarmChild, fork_warm
from tests.children import supervised_child
from tests.waiting import wait_until

PATIENCE_SECONDS = 120.0
OPTIONS = {"val_fraction": 0.25, "test_fraction": 0.2, "seed": 0}
TINY = {"model": "yolov8n", "epochs": 2, "imgsz": 64, "batch": 8, "pretrained": "never", "workers": 0, "device": "cpu"}

Result = TypeVar("Result")


@dataclass
class Stack:
    settings: Settings
    platform: Platform
    folder: Path
    processes: list[WarmChild] = field(default_factory=list)

    def start(self, role: str, *, scripted: bool = False) -> WarmChild:
        """`python -m worker <role>`, as the Procfile does. `scripted`: its children only pretend to train."""
        module = "tests.servers.scripted_worker" if scripted else "worker.__main__"
        with (self.folder / f"{role}-{len(self.processes)}.log").open("ab") as log:
            out, environment = log.fileno(), self.environment()
            process = fork_warm(
                WORKERS, ["-m", module, role], cwd=REPOSITORY, environment=environment, stdout=out, stderr=out
            )
        self.processes.append(process)
        return process

    def upload(self, archive: Path, *, project: str | None = None, **options: str) -> str:
        job_id = new_job_id()
        stored = self.platform.store.put(upload_key(job_id), archive)
        size, sha256 = archive.stat().st_size, stored.sha256
        source = {"source_name": archive.name, "source_bytes": size, "source_sha256": sha256}
        row = receive_job(self.platform, job_id, name="scenes", options=OPTIONS | options, project=project, **source)
        return row.id

    def ready_job(self, archive: Path) -> str:
        """A job whose prepared set is `archive`, without a worker."""
        job_id = self.upload(archive)
        claimed = claim_row(self.platform.db, JobRow, job_id, "test", lease_seconds=60)
        assert claimed is not None
        fingerprint = hashlib.sha256(archive.read_bytes()).hexdigest()
        stored = self.platform.store.put(dataset_key(1, fingerprint), archive)
        row = preparing.complete_job(
            self.platform.db,
            claimed[0],
            preparing.ValidationResult("detection", "voc", ["box", "disc"], 4, {}, []),
            preparing.PreparedSet(fingerprint, 1, stored.key, stored.bytes, stored.sha256),
            content_fingerprint="c" * 64,
            metadata_key=metadata_key(job_id, 1),
            metadata_sha256="2" * 64,
            is_stored=lambda key: self.platform.store.head(key) is not None,
        )
        assert row is not None
        return job_id

    def train(self, job_id: str, **params: Any) -> str:
        return queue_run(self.platform, job_id, trainer="yolo", params={**TINY, **params}).id

    def operate(self, **params: Any) -> str:
        """An operation of scripted_operation.py."""
        return queue_operation(self.platform, "scripted", params).id

    def job(self, job_id: str) -> JobRow:
        return get_job(self.platform.db, job_id)

    def run(self, run_id: str) -> RunRow:
        return get_run(self.platform.db, run_id)

    def operation(self, operation_id: str) -> OperationRow:
        return get_operation(self.platform.db, operation_id)

    def ended_job(self, job_id: str) -> JobRow:
        return self.until(lambda: _if(self.job(job_id), JOB_ENDED))

    def ended_run(self, run_id: str) -> RunRow:
        return self.until(lambda: _if(self.run(run_id), RUN_ENDED))

    def ended_operation(self, operation_id: str) -> OperationRow:
        return self.until(lambda: _if(self.operation(operation_id), RUN_ENDED))

    def until(self, found: Callable[[], Result | None], *, seconds: float = PATIENCE_SECONDS) -> Result:
        """The first true value of `found()`. Fails with the workers' logs."""
        value = wait_until(found, seconds=seconds, what=self.logs)
        assert value is not None
        return value

    def logs(self) -> str:
        return "\n".join(f"--- {path.name}\n{path.read_text()}" for path in sorted(self.folder.glob("*.log")))

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()
            process.close()
        self.platform.db.close()

    def environment(self) -> dict[str, str]:
        changed = self.settings.model_dump(exclude_unset=True)
        ours = {f"DARKROOM_{name.upper()}": _text(value) for name, value in changed.items()}
        return {name: value for name, value in os.environ.items() if not name.startswith("DARKROOM_")} | ours


@contextmanager
def stack(folder: Path, database_url: str, broker_url: str, **changes: Any) -> Iterator[Stack]:
    """Short leases: a lost worker is noticed after 4 s."""
    settings = Settings(
        home=folder / "home",
        database_url=database_url,
        broker_url=broker_url,
        **{
            "hub": False,
            "lease_seconds": 4.0,
            "heartbeat_seconds": 0.5,
            "sweep_seconds": 0.5,
            "clean_seconds": 2.0,
            "checkpoint_seconds": 0.0,
            **changes,
        },
    )
    made = Stack(settings, open_platform(settings), folder)
    try:
        yield made
    finally:
        made.stop()


def scenes(folder: Path, *, count: int = 16, seed: int = 1) -> Path:
    path = folder / "scenes.zip"
    write_archive(path, scenes=count, seed=seed)
    return path


def small_set(folder: Path) -> Path:
    """A prepared set of four images, as one tar."""
    folder.mkdir(exist_ok=True)
    tree = draw_tree(folder / "tree", train=2, val=1, test=1)
    with tarfile.open(folder / "dataset.tar", "w") as tar:
        for path in sorted(tree.rglob("*")):
            tar.add(path, arcname=path.relative_to(tree).as_posix(), recursive=False)
    return folder / "dataset.tar"


def _text(value: Any) -> str:
    return str(value.get_secret_value() if isinstance(value, SecretStr) else value)


def _if(row: Any, states: Any) -> Any:
    return row if row.state in states else None


def child_of(worker: WarmChild) -> psutil.Process | None:
    """The supervised child of a worker; None when it has none."""
    return supervised_child(of=worker.pid)
