"""The service that faults are injected into: private servers, and its processes, each started again when it ends."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from pydantic import SecretStr

from benchmarks.chaos.disk import SmallDisk, can_mount
from core.db.migrate import upgrade
from core.services.context import Platform, open_platform
from core.settings import Settings
from deploy.local.private_stack import free_ports
from tests.servers.postgres import DURABLE, Postgres, private_postgres
from tests.servers.s3 import S3, private_s3
from tests.servers.valkey import Valkey, private_valkey

LEASE_SECONDS = 8.0  # of 60: a lost worker is noticed soon, and a busy machine still renews in time
SETTINGS: Mapping[str, Any] = {
    "hub": False,
    "lease_seconds": LEASE_SECONDS,
    "heartbeat_seconds": 1.0,
    "sweep_seconds": 0.5,
    "checkpoint_seconds": 0.0,
    "prepare_processes": 1,
    "keep_checkpoint_days": 0.0,
    "disk_reserve_bytes": 16 * 1024**2,
}
DISK_MIB = 640  # of the home and of a store in a folder: a real checkpoint has 60 MB
START_SECONDS = 60.0
CHILDREN_END_SECONDS = 5.0
TICK_SECONDS = 0.1

WORKER = "worker"
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "api": ("api",),
    "prepare": (WORKER, "prepare"),
    "train-1": ("benchmarks.chaos.worker", "train"),
    "train-2": ("benchmarks.chaos.worker", "train"),
    "operations-1": ("benchmarks.chaos.worker", "operations"),
    "operations-2": ("benchmarks.chaos.worker", "operations"),
    "housekeeping-1": (WORKER, "housekeeping"),
    "housekeeping-2": (WORKER, "housekeeping"),
}


@dataclass
class Service:
    """`home_disk` and `store_disk` are None where no disk can be mounted, or the store is no folder."""

    folder: Path
    settings: Settings
    platform: Platform
    valkey: Valkey
    postgres: Postgres | None
    s3: S3 | None
    home_disk: SmallDisk | None
    store_disk: SmallDisk | None
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.api_port}"

    def keep_running(self, seconds: float) -> None:
        """Let time pass; whatever process ends is started again."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self.start_ended()
            time.sleep(TICK_SECONDS)

    def start_ended(self) -> None:
        for name, command in COMMANDS.items():
            process = self.processes.get(name)
            if process is None or process.poll() is not None:
                self.processes[name] = self._start(name, command)

    def wait_until_ready(self) -> None:
        ends = time.monotonic() + START_SECONDS
        while time.monotonic() < ends:
            self.keep_running(0.3)
            try:
                if httpx.get(f"{self.url}/ready", timeout=10).is_success:
                    return
            except httpx.TransportError:
                continue
        raise SystemExit(f"The service is not ready after {START_SECONDS:.0f} s; its logs are in {self.folder}.")

    def signal(self, name: str, number: int) -> None:
        process = self.processes[name]
        if process.poll() is None:
            process.send_signal(number)

    def kill_all(self) -> None:
        for name in COMMANDS:
            self.signal(name, signal.SIGKILL)
        for process in self.processes.values():
            process.wait()

    def child_of(self, name: str) -> psutil.Process | None:
        """The child that prepares or trains for this worker."""
        try:
            children = psutil.Process(self.processes[name].pid).children()
            return next((child for child in children if "--supervised" in child.cmdline()), None)
        except psutil.Error:
            return None

    def children_left(self) -> list[int]:
        """Children of workers that still run, some seconds after their workers were killed."""
        ends = time.monotonic() + CHILDREN_END_SECONDS
        while (left := self._children()) and time.monotonic() < ends:
            time.sleep(TICK_SECONDS)
        return left

    def _children(self) -> list[int]:
        mine = str(self.folder)
        found = psutil.process_iter(["cmdline"])
        return [each.pid for each in found if any(mine in part for part in each.info["cmdline"] or ())]

    def _start(self, name: str, command: tuple[str, ...]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *command],
                env=self._environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _environment(self) -> dict[str, str]:
        ours = self.settings.model_dump(exclude_unset=True).items()
        changed = {f"DARKROOM_{name.upper()}": _text(value) for name, value in ours}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DARKROOM_")}
        return kept | changed | {"TMPDIR": str(self.folder / "t")}


@contextmanager
def private_service(*, database: str) -> Iterator[Service]:
    """`sqlite` with a store in a folder, or `postgresql` with an S3 server. Everything of it is removed at the end."""
    with ExitStack() as stack:
        # short: sockets lie below its `t`
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dr-ch-", dir="/tmp")))
        (folder / "t").mkdir()
        valkey = stack.enter_context(private_valkey())
        postgres = stack.enter_context(private_postgres(DURABLE)) if database == "postgresql" else None
        s3 = stack.enter_context(private_s3()) if database == "postgresql" else None
        home_disk = _disk(stack, folder / "home")
        store_disk = _disk(stack, folder / "store") if s3 is None else None
        settings = _settings(folder, valkey, postgres, s3)
        upgrade(settings.database)
        platform = open_platform(settings)
        stack.callback(platform.db.close)
        platform.store.make_ready()
        service = Service(folder, settings, platform, valkey, postgres, s3, home_disk, store_disk)
        stack.callback(service.children_left)
        stack.callback(service.kill_all)
        service.start_ended()
        service.wait_until_ready()
        yield service


def _disk(stack: ExitStack, folder: Path) -> SmallDisk | None:
    if not can_mount():
        folder.mkdir()
        return None
    disk = SmallDisk(folder, mib=DISK_MIB)
    stack.callback(disk.unmount)
    return disk


def _settings(folder: Path, valkey: Valkey, postgres: Postgres | None, s3: S3 | None) -> Settings:
    (port,) = free_ports(1)
    settings: dict[str, Any] = {**SETTINGS, "home": folder / "home", "broker_url": valkey.url, "api_port": port}
    if postgres is not None:
        settings["database_url"] = postgres.url
    if s3 is not None:
        return Settings(**settings, store_url="s3://darkroom-chaos/data", **s3.settings)
    return Settings(**settings, store_url=(folder / "store").as_uri())


def _text(value: Any) -> str:
    return str(value.get_secret_value() if isinstance(value, SecretStr) else value)
