"""No broker: nothing rings, and the sweep finds every row by itself, at most `DARKROOM_SWEEP_SECONDS` later."""


class PollingOnly:
    def enqueue(self, task: str, row_id: str) -> bool:  # noqa: ARG002 - the protocol's
        return False

    def ping(self) -> float:
        return 0.0
