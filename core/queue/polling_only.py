"""No broker: workers poll the database for waiting rows, every `DARKROOM_SWEEP_SECONDS`."""


class PollingOnly:
    def enqueue(self, task: str, row_id: str) -> bool:  # noqa: ARG002 - the protocol's
        return False

    def ping(self) -> float:
        return 0.0
