"""The seam between the supervisor and what runs a command: a child process here, or a job on another machine."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from pipeline.process.specs import ChildSpec

Message = Literal["cancel", "stop"]


@dataclass(frozen=True, slots=True)
class ProcessExit:
    """How a process ended by itself. `status` is negative for a signal that the supervisor did not send."""

    status: int
    out_of_memory: bool  # there is evidence that the system ended it for want of memory
    out_of_time: bool = False  # the supervisor ended it after its time limit


class SupervisedProcess(Protocol):
    """A command that has been started. Thread-safe."""

    @property
    def name(self) -> str:
        """For the log: what an operator looks for, such as a pid."""

    def wait(self, seconds: float) -> ProcessExit | None:
        """None: it is still running after `seconds`."""

    def send(self, message: Message) -> None:
        """Request an end: `cancel` throws the work away, `stop` keeps the best so far. Ignored once it has ended."""

    def read_progress(self) -> list[dict[str, Any]]:
        """The reports since the last call, in order."""

    def sample(self) -> dict[str, float]:
        """Processor, memory and GPU in use now; empty where nothing is known."""

    def cancel(self) -> None:
        """Send `cancel`, then force it to end. Returns within 3 s, when nothing of it runs any more."""

    def kill(self) -> None:
        """Force it to end. Returns when nothing of it runs any more; does nothing to a process that has ended."""


class Launcher(Protocol):
    def start(self, spec: ChildSpec, *, log: Path) -> SupervisedProcess:
        """Start `python -m pipeline <spec.command>` with this spec; its output is appended to `log`.

        `spec.out` is a folder that exists and that the supervisor can read: results and checkpoints appear in it.
        """
