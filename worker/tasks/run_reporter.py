"""What a training reports, written to its run's row and events; its checkpoints go to the uploader."""

from collections.abc import Mapping
from typing import Any

from core.db.tables import RunRow
from core.services.runs.logs import note_log_tail
from worker.tasks.attempt import Attempt
from worker.tasks.checkpoints import Uploader


class RunReporter:
    """Notes of earlier attempts stay, unless replaced under the same name. Reports raise ClaimLost, Unavailable."""

    def __init__(self, attempt: Attempt[RunRow], run: RunRow, uploader: Uploader) -> None:
        self._attempt = attempt
        self._out = attempt.scratch / "out"
        self._uploader = uploader
        self._notes: dict[str, str] = dict(run.notes or {})

    def report(self, line: Mapping[str, Any]) -> None:
        match line.get("type"):
            case "stage":
                self._attempt.report(stage=line["stage"])
            case "epoch":
                progress = {name: line.get(name) for name in ("epoch", "epochs", "metrics", "seconds_left")}
                self._attempt.report(progress=progress)
            case "checkpoint":
                self._uploader.offer(int(line["epoch"]), self._out / line["path"])
            case "note":
                self._notes |= {str(line["name"]): str(line["text"])}
                self._attempt.report(notes=self._notes)

    def note(self, name: str, text: str) -> None:
        """A note of the worker's own, repeated until the database answers."""
        self._notes |= {name: text}
        self._attempt.report_surely(notes=self._notes)

    def report_sample(self, sample: Mapping[str, float]) -> None:
        self._attempt.report(event="system", extra={"system": sample})

    def report_log(self, tail: bytes, total_bytes: int) -> None:
        self._attempt.lease.raise_if_lost()
        note_log_tail(self._attempt.db, self._attempt.claim, tail, total_bytes=total_bytes)
