"""A kind of operation for tests: its child takes 0.1 s a step and only pretends to work; see scripted_child.py."""

from typing import Any

from core.db.tables import OperationRow
from pipeline.process.results import ChildResult
from pipeline.process.specs import ChildSpec
from worker.tasks.attempt import Attempt
from worker.tasks.operations.child import in_child

KIND = "scripted"


class ScriptedSpec(ChildSpec):
    command = "scripted"

    steps: int
    ending: str = "ok"
    attempt: int = 1


class ScriptedResult(ChildResult):
    steps: int
    attempt: int


def work(attempt: Attempt[OperationRow], operation: OperationRow) -> dict[str, Any]:
    spec = ScriptedSpec(
        out=attempt.scratch / "out",
        memory_bytes=attempt.platform.settings.operation_memory_bytes,
        attempt=attempt.claim.attempt,
        **operation.params,
    )
    return in_child(attempt, spec, ScriptedResult).model_dump()
