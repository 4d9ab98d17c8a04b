"""The faults. Each is injected, lasts for a moment, and is over when its function returns."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import Any

import psutil

from benchmarks.chaos.disk import SmallDisk
from benchmarks.chaos.service import COMMANDS, LEASE_SECONDS, Service

Fault = Callable[[Service, Random], bool]  # False: there was nothing to inject it into

OUTAGE_SECONDS = (0.5, 4.0)
FREEZE_SECONDS = (1.0, 3.0)
LONG_FREEZE_SECONDS = 1.25 * LEASE_SECONDS  # as long as 75 s are for a lease of 60 s
FIND_CHILD_SECONDS = 4.0


def faults_of(service: Service) -> dict[str, Fault]:
    """Those that this service can have, by name."""
    faults: dict[str, Fault] = {}
    for group in ("api", "prepare", "train", "operations", "housekeeping"):
        faults[f"kill {group}"] = partial(_kill, group=group)
        faults[f"freeze {group}"] = partial(_freeze, group=group)
    faults["kill a child"] = _kill_child
    faults["freeze a child"] = _freeze_child
    faults["kill everything"] = _kill_everything
    faults["kill broker"] = _kill_broker
    faults["freeze broker"] = _freeze_broker
    if service.postgres is not None:
        faults["stop PostgreSQL"] = partial(_stop_postgres, immediately=False)
        faults["crash PostgreSQL"] = partial(_stop_postgres, immediately=True)
    if service.s3 is not None:
        faults["kill S3"] = _kill_s3
        faults["freeze S3"] = _freeze_s3
    if service.home_disk is not None:
        faults["disk full: home"] = partial(_fill, disk=service.home_disk)
    if service.store_disk is not None:
        faults["disk full: store"] = partial(_fill, disk=service.store_disk)
        faults["store read-only"] = partial(_make_read_only, disk=service.store_disk)
    return faults


def schedule(names: list[str], rng: Random) -> Iterator[str]:
    """Every fault once in random order, again and again."""
    while True:
        yield from rng.sample(names, len(names))


def _kill(service: Service, rng: Random, *, group: str) -> bool:
    service.signal(_one_of(group, rng), signal.SIGKILL)
    return True


def _freeze(service: Service, rng: Random, *, group: str) -> bool:
    name = _one_of(group, rng)
    seconds = rng.choice([rng.uniform(*FREEZE_SECONDS), LONG_FREEZE_SECONDS])
    service.signal(name, signal.SIGSTOP)
    service.keep_running(seconds)
    service.signal(name, signal.SIGCONT)
    return True


def _kill_child(service: Service, rng: Random) -> bool:
    child = _some_child(service, rng)
    return child is not None and _signal(child, signal.SIGKILL)


def _freeze_child(service: Service, rng: Random) -> bool:
    child = _some_child(service, rng)
    if child is None or not _signal(child, signal.SIGSTOP):
        return False
    service.keep_running(rng.uniform(*FREEZE_SECONDS))
    _signal(child, signal.SIGCONT)
    return True


def _kill_everything(service: Service, _rng: Random) -> bool:
    """As when the machine goes down, except that what the system has buffered is kept."""
    service.kill_all()
    service.valkey.kill()
    service.valkey.start()
    return True


def _kill_broker(service: Service, rng: Random) -> bool:
    service.valkey.kill()
    service.keep_running(rng.uniform(*OUTAGE_SECONDS))
    service.valkey.start()
    return True


def _freeze_broker(service: Service, rng: Random) -> bool:
    with service.valkey.frozen():
        service.keep_running(rng.uniform(*FREEZE_SECONDS))
    return True


def _stop_postgres(service: Service, rng: Random, *, immediately: bool) -> bool:
    assert service.postgres is not None
    service.postgres.stop(immediately=immediately)
    service.keep_running(rng.uniform(*OUTAGE_SECONDS))
    service.postgres.start()
    return True


def _kill_s3(service: Service, rng: Random) -> bool:
    assert service.s3 is not None
    service.s3.kill()
    service.keep_running(rng.uniform(*OUTAGE_SECONDS))
    service.s3.start()
    return True


def _freeze_s3(service: Service, rng: Random) -> bool:
    assert service.s3 is not None
    with service.s3.frozen():
        service.keep_running(rng.uniform(*FREEZE_SECONDS))
    return True


def _fill(service: Service, rng: Random, *, disk: SmallDisk) -> bool:
    with _ended_by(disk.empty):
        disk.fill()
        service.keep_running(rng.uniform(*OUTAGE_SECONDS))
    return True


def _make_read_only(service: Service, rng: Random, *, disk: SmallDisk) -> bool:
    if not disk.make_read_only():
        return False
    with _ended_by(disk.make_writable):
        service.keep_running(rng.uniform(*OUTAGE_SECONDS))
    return True


@contextmanager
def _ended_by(heal: Callable[[], Any]) -> Iterator[None]:
    try:
        yield
    finally:
        heal()


def _one_of(group: str, rng: Random) -> str:
    return rng.choice([name for name in COMMANDS if name.startswith(group)])


def _some_child(service: Service, rng: Random) -> psutil.Process | None:
    names = [name for name in COMMANDS if name.startswith(("prepare", "train", "operations"))]
    rng.shuffle(names)
    for _ in range(round(FIND_CHILD_SECONDS / 0.2)):
        for name in names:
            if child := service.child_of(name):
                return child
        service.keep_running(0.2)
    return None


def _signal(process: psutil.Process, number: int) -> bool:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return False
    return True
