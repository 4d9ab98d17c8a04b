"""Measures the stages of an attempt, for /metrics. A duration that cannot be written changes nothing else."""

import structlog

from core import clock
from core.db import Database
from core.domain.errors import DarkroomError
from core.services.work.stages import add_stage

log = structlog.get_logger(__name__)


class StageTimer:
    """Used by one thread at a time."""

    def __init__(self, db: Database, noun: str, *, stage: str) -> None:
        self._db = db
        self._noun = noun
        self._stage: str | None = stage
        self._began = clock.monotonic()

    def begin(self, stage: str | None) -> None:
        """The earlier stage has ended; None: the last one has."""
        ended, began = self._stage, self._began
        if ended == stage:
            return
        self._stage, self._began = stage, clock.monotonic()
        if ended is None:
            return
        try:
            add_stage(self._db, self._noun, ended, self._began - began)
        except DarkroomError as error:
            log.warning("stage.not_counted", stage=ended, error=error.detail)
