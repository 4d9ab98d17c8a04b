"""Evidence of the kernel's out-of-memory killer. A SIGKILL alone does not name its sender."""

from pathlib import Path

import psutil

from core.domain.limits import GIB

# Of what a training allocates, libraries never use so much: 1 GiB that pyarrow takes at once, and stacks of threads.
UNUSED_BYTES = 2 * GIB
NEAR = 0.9  # of the limit: the last sample before the kill is some seconds old

_CGROUP = Path("/sys/fs/cgroup")
_UNLIMITED_BYTES = 2**60  # cgroup v1 reports about 2**63 for no limit


class MemoryWatch:
    """Counts kills of this control group from its making on, and remembers the largest sample of the child."""

    def __init__(self) -> None:
        self._kills = _oom_kills()
        self._largest_bytes = 0

    def note(self, used_bytes: int) -> None:
        """A sample of the whole group, shared pages counted once: as the kernel counts against the limit."""
        self._largest_bytes = max(self._largest_bytes, used_bytes)

    def ran_out(self) -> bool:
        return _oom_kills() > self._kills or self._largest_bytes >= NEAR * memory_of_machine()


def allocatable_bytes() -> int:
    """What a training may allocate where no setting limits it: what it uses is at most the memory of the machine."""
    return memory_of_machine() + UNUSED_BYTES


def memory_of_machine() -> int:
    """In bytes: that of the container, where it is limited."""
    limits = [psutil.virtual_memory().total]
    for name in ("memory.max", "memory.limit_in_bytes"):
        for folder in _folders():
            text = _text(folder / name).strip()
            if text.isdigit() and int(text) < _UNLIMITED_BYTES:
                limits.append(int(text))
    return min(limits)


def _oom_kills() -> int:
    """0 where the system does not count them (macOS, no control groups)."""
    for name in ("memory.events", "memory.oom_control"):  # cgroup v2, v1
        for folder in _folders():
            for line in _text(folder / name).splitlines():
                key, _, value = line.partition(" ")
                if key == "oom_kill":
                    return int(value)
    return 0


def _folders() -> list[Path]:
    """The folders of our control group, as this machine or container shows them."""
    own = [line.split(":", 2) for line in _text(Path("/proc/self/cgroup")).splitlines()]
    found = []
    for _, controllers, path in (parts for parts in own if len(parts) == 3):
        if controllers in ("", "memory"):
            found += [_CGROUP / controllers / path.lstrip("/"), _CGROUP / controllers]
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
