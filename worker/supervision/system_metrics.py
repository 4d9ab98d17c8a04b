"""Processor, memory and GPU of a child's process group."""

import importlib
import os
from pathlib import Path
from typing import Any

import psutil

ROLLUP = "/proc/{pid}/smaps_rollup"


class GroupSampler:
    """`cpu_percent` is 100 for each busy core; `memory_bytes` is what the group holds, shared pages counted once."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._known: dict[int, psutil.Process] = {}
        self._gpu = Gpu()

    def sample(self) -> dict[str, float]:
        """Empty when the group is gone."""
        processes = self._group()
        cpu, memory = 0.0, 0
        for process in processes:
            try:
                cpu += process.cpu_percent()  # since the last sample of the same process; 0 at its first
                memory += memory_of(process)
            except psutil.Error:
                continue  # ended meanwhile
        if not processes:
            return {}
        return {"cpu_percent": round(cpu, 1), "memory_bytes": float(memory), **self._gpu.sample(self._known.keys())}

    def _group(self) -> list[psutil.Process]:
        try:
            leader = self._known.setdefault(self._pid, psutil.Process(self._pid))
            pids = {self._pid, *(child.pid for child in leader.children(recursive=True))}
        except psutil.Error:
            return []
        for pid in pids - self._known.keys():
            try:
                self._known[pid] = psutil.Process(pid)
            except psutil.Error:
                continue
        self._known = {pid: self._known[pid] for pid in sorted(pids & self._known.keys())}
        return list(self._known.values())


def memory_of(process: psutil.Process) -> int:
    """Proportional set size: of a page that n processes share (torch's libraries, a loader's tensors) 1/n each.

    The kernel walks the page tables for it, once per heartbeat. The resident set where it reports none.
    """
    try:
        lines = Path(ROLLUP.format(pid=process.pid)).read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    except (OSError, ValueError, StopIteration):  # another system, another user's process, one that has just ended
        return int(process.memory_info().rss)


class Gpu:
    """NVIDIA's counters where its library is there; nothing elsewhere."""

    def __init__(self) -> None:
        self._nvml: Any = None
        self._tried = False

    def sample(self, pids: Any) -> dict[str, float]:
        """`gpu_percent` is of the busiest device that the group uses, `gpu_memory_bytes` the group's sum."""
        nvml = self._open()
        if nvml is None:
            return {}
        used, busy = 0, []
        try:
            for index in range(nvml.nvmlDeviceGetCount()):
                device = nvml.nvmlDeviceGetHandleByIndex(index)
                mine = [p for p in nvml.nvmlDeviceGetComputeRunningProcesses(device) if p.pid in pids]
                if mine:
                    used += sum(p.usedGpuMemory or 0 for p in mine)
                    busy.append(nvml.nvmlDeviceGetUtilizationRates(device).gpu)
        except nvml.NVMLError:
            return {}
        return {"gpu_percent": float(max(busy)), "gpu_memory_bytes": float(used)} if busy else {}

    def _open(self) -> Any:
        if self._tried:
            return self._nvml
        self._tried = True
        if not os.path.exists("/dev/nvidiactl"):  # noqa: PTH110 - a device file
            return None
        try:
            nvml = importlib.import_module("pynvml")
        except ImportError:
            return None
        try:
            nvml.nvmlInit()
            self._nvml = nvml
        except nvml.NVMLError:
            return None
        return self._nvml
