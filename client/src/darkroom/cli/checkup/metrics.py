"""What the service's figures for Prometheus say: queues that wait, workers, disks."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx

from darkroom.cli.checkup import Check, Checks
from darkroom.cli.text import counted, duration, size

WAITING_SECONDS = 600.0
_SAMPLE = re.compile(r"(?P<name>darkroom_\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Sample:
    name: str
    labels: Mapping[str, str]
    value: float


def metric_checks(answer: httpx.Response | None) -> Checks:
    if answer is None or not answer.is_success:
        yield Check("metrics", "warn", "/metrics does not answer", "See the log of the API.")
        return
    samples = list(samples_of(answer.text))
    yield queue_check(samples)
    yield from disk_checks(samples)


def samples_of(text: str) -> Iterator[Sample]:
    for line in text.splitlines():
        if found := _SAMPLE.match(line):
            labels = dict(_LABEL.findall(found["labels"] or ""))
            yield Sample(found["name"], labels, float(found["value"]))


def queue_check(samples: list[Sample]) -> Check:
    """What waits, and whether the oldest of it waits for long."""
    depths = _by_label(samples, "darkroom_queue_depth")
    oldest = _by_label(samples, "darkroom_queue_oldest_seconds")
    waiting = [f"{counted(int(count), 'item')} for {queue}" for queue, count in depths.items() if count]
    detail = ", ".join(waiting) if waiting else "nothing waits"
    longest = max(oldest, key=lambda name: oldest[name], default="")
    if longest and oldest[longest] > WAITING_SECONDS:
        remedy = f"Start another worker: `python -m worker {longest}`; or check its log."
        return Check("queues", "warn", f"{detail}; the oldest since {duration(oldest[longest])}", remedy)
    return Check("queues", "ok", detail)


def disk_checks(samples: list[Sample]) -> Checks:
    reserve = next((each.value for each in samples if each.name == "darkroom_disk_reserve_bytes"), 0.0)
    for disk, free in _by_label(samples, "darkroom_disk_free_bytes").items():
        name, detail = f"disk of {disk}", f"{size(int(free))} free"
        if free < reserve:
            remedy = "Uploads are refused: free space, or set DARKROOM_HOME or DARKROOM_TEMP_DIR to a larger disk."
            yield Check(name, "fail", f"{detail}, less than DARKROOM_DISK_RESERVE_BYTES ({size(int(reserve))})", remedy)
        elif free < 4 * reserve:
            yield Check(name, "warn", detail, "Free space before it is full: uploads would be refused.")
        else:
            yield Check(name, "ok", detail)


def _by_label(samples: list[Sample], name: str) -> dict[str, float]:
    return {"".join(each.labels.values()): each.value for each in samples if each.name == name}
