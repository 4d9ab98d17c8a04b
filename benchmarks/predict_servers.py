"""The servers of `benchmarks.predict`: Darkroom's, the API in front of it, LitServe and BentoML."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.predict_model import Exported
from core.db.migrate import upgrade
from core.services.context import open_platform
from core.settings import Settings
from deploy.local.private_stack import free_ports
from pipeline.predictor.predictor import ExportPredictor
from tests.builders.served import publish

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ROOT / "requirements-peers.txt"
START_SECONDS = 90.0  # BentoML imports for 5 s, and loads in each worker


@dataclass(frozen=True, slots=True)
class Running:
    """`url`: a JPEG in the body of a POST is answered with boxes."""

    name: str
    url: str
    settings: str
    pid: int


@dataclass(frozen=True, slots=True)
class PeerSettings:
    """`path`: `darkroom`, for the same decode, engine and post-processing, or `own`."""

    workers: int
    threads: int  # of the computation of one request
    at_once: int = 1  # requests in a worker, of BentoML
    batch: int = 1
    fast_queue: bool = False
    path: str = "darkroom"
    engine: str = "onnxruntime"

    def __str__(self) -> str:
        batch = f", batches of up to {self.batch}" if self.batch > 1 else ""
        queue = ", fast queue" if self.fast_queue else ""
        at_once = f", {self.at_once} at once" if self.at_once > 1 else ""
        counts = f"{self.workers} x {self.threads} threads{at_once}{batch}{queue}"
        return f"{counts}, {self.path} path, {self.engine}"


@dataclass(frozen=True, slots=True)
class Home:
    """Of Darkroom, with each export as a version of the project `discs`. `names`: by precision."""

    folder: Path
    names: dict[str, str] = field(default_factory=dict)
    memory_bytes: int = 2 * 1024**3

    @property
    def environment(self) -> dict[str, str]:
        # No token and no broker; the log would be a line a request.
        return {"DARKROOM_HOME": str(self.folder), "DARKROOM_LOG_LEVEL": "WARNING"}


def make_home(folder: Path, exports: Sequence[Exported]) -> Home:
    folder.mkdir()
    home = Home(folder)
    settings = Settings(home=folder)
    upgrade(settings.database)
    platform = open_platform(settings)
    for each in exports:
        certified: dict[str, Any] = {
            "format": each.format,
            "precision": each.precision,
            "certificate": each.certificate,
        }
        home.names[each.precision] = publish(platform, "discs", each.file, **certified)
    platform.db.close()
    return home


@contextmanager
def darkroom(home: Home, precision: str, *, engine: str, log: Path) -> Iterator[Running]:
    (port,) = free_ports(1)
    name = home.names[precision]
    environment = home.environment | {
        "DARKROOM_SERVING_PORT": str(port),
        "DARKROOM_SERVING_ENGINE": engine,
        "DARKROOM_SERVING_PRECISION": precision,
        "DARKROOM_SERVING_PRELOAD": name,
        "DARKROOM_SERVING_MEMORY_BYTES": str(home.memory_bytes),
    }
    url = f"http://127.0.0.1:{port}/predict/image?model={name}"
    command = [sys.executable, "-m", "serving"]
    with _process(command, environment, log) as process:
        yield _answering(process, Running(f"Darkroom {precision}", url, engine, process.pid), log)


@contextmanager
def api_before(served: Running, home: Home, *, log: Path) -> Iterator[Running]:
    """The API, which passes predictions on."""
    (port,) = free_ports(1)
    base, _, path = served.url.partition("/predict")
    environment = home.environment | {"DARKROOM_API_PORT": str(port), "DARKROOM_SERVING_URL": base}
    with _process([sys.executable, "-m", "api"], environment, log) as process:
        url = f"http://127.0.0.1:{port}/predict{path}"
        yield _answering(process, Running(f"{served.name} through the API", url, "", process.pid), log)


@contextmanager
def peer(name: str, venv: Path, export: Exported, settings: PeerSettings, *, log: Path) -> Iterator[Running]:
    """`name`: LitServe or BentoML."""
    (port,) = free_ports(1)
    environment = {
        "PYTHONPATH": str(ROOT),
        "PEER_FILE": str(export.file),
        "PEER_PATH": settings.path,
        "PEER_ENGINE": settings.engine,
        "PEER_ENGINE_THREADS": str(settings.threads),
        "PEER_AT_ONCE": str(settings.at_once),
        "PEER_WORKERS": str(settings.workers),
        "PEER_BATCH": str(settings.batch),
        "PEER_FAST_QUEUE": str(int(settings.fast_queue)),
        "PEER_PORT": str(port),
        "PEER_ABOUT": json.dumps(_about(export.file)),
        "BENTOML_DO_NOT_TRACK": "true",
        "BENTOML_HOME": str(log.parent / "bentoml"),
    }
    command = [str(venv / "bin/python"), "-m", "benchmarks.peers.lit"]
    if name == "BentoML":
        command = [str(venv / "bin/bentoml"), "serve", "benchmarks.peers.bento:Predictions"]
        command += ["--host", "127.0.0.1", "--port", str(port)]
    with _process(command, environment, log) as process:
        url = f"http://127.0.0.1:{port}/predict"
        yield _answering(process, Running(name, url, str(settings), process.pid), log)


@contextmanager
def suspended(servers: Sequence[Running]) -> Iterator[None]:
    """They get no processor: LitServe's processes poll, and take 30 % of a core without a request."""
    processes = [each for server in servers for each in _tree(server.pid)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in reversed(processes):
            process.resume()


def _tree(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def make_venv(folder: Path) -> Path:
    """With what requirements-peers.txt pins, from the package index that pip is set to."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", str(REQUIREMENTS)], check=True)
    return folder


def _about(file: Path) -> dict[str, object]:
    predictor = ExportPredictor(file)
    side, iou = predictor.metadata.preprocessing.width, predictor.metadata.output.iou
    return {
        "side": side,
        "classes": list(predictor.metadata.classes),
        "thresholds": list(predictor.thresholds),
        "iou": iou,
    }


@contextmanager
def _process(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """In a group of its own, which ends with it: peers start workers."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answering(process: "subprocess.Popen[bytes]", running: Running, log: Path) -> Running:
    ends = time.monotonic() + START_SECONDS
    while time.monotonic() < ends and process.poll() is None:
        try:
            # 4xx: it answers, and refuses an empty image.
            answer = httpx.post(
                running.url, content=b"", headers={"content-type": "image/jpeg"}, trust_env=False, timeout=10
            )
            if answer.status_code != 503:
                return running
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise SystemExit(f"{running.name} does not answer:\n{log.read_text(errors='replace')[-3000:]}")
