"""An attempt at a claimed row: claim it, keep its lease, work on it, and write to the row how that ended.

The ladder of exceptions stands here once, for every table with a lease.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic

import structlog

from core.db import Database
from core.db.base import Leased, Resumable
from core.db.transitions import Row
from core.domain.errors import DarkroomError, Internal, NoSpace, OutOfSpace, StoreRefused, Unavailable
from core.services.context import Platform
from core.services.on_commit import OnCommit, do_nothing
from core.services.projects.names import log_names
from core.services.work.endings import (
    cancel_attempt,
    fail_attempt,
    give_back_attempt,
    lose_attempt,
    refuse_attempt,
)
from core.services.work.leases import Claim, ClaimLost, claim_row, poll_claim, renew_lease, report_progress
from pipeline.process.disk_full import is_full_disk
from worker.context import Worker
from worker.inputs.scratch import fresh_folder, scratch_name, scratch_root
from worker.supervision.lease_keeper import CancelRequested, DrainRequested, LeaseKeeper
from worker.tasks.stage_timer import StageTimer

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Attempt(Generic[Row]):
    """The claim on a row, what keeps it, and where the work happens. Each ending raises ClaimLost.

    `scratch` is empty at first. `folders` are left after the ending is written: 100,000 files take seconds to remove.
    """

    worker: Worker
    table: type[Row]
    claim: Claim
    lease: LeaseKeeper
    scratch: Path
    folders: ExitStack
    store_log: "StoreLog"
    timer: StageTimer
    names: Mapping[str, str]  # for log lines

    @property
    def platform(self) -> Platform:
        return self.worker.platform

    @property
    def db(self) -> Database:
        return self.worker.platform.db

    @property
    def noun(self) -> str:
        return self.table.noun()

    @property
    def log(self) -> Any:
        return log.bind(**{f"{self.noun}_id": self.claim.id}, **self.names, attempt=self.claim.attempt)

    def report(self, **changes: Any) -> None:
        """Change the row's stage, progress or notes. Raises ClaimLost, Unavailable."""
        self.lease.raise_if_lost()
        report_progress(self.db, self.table, self.claim, **changes)
        if "stage" in changes:
            self.timer.begin(changes["stage"])

    def report_surely(self, **changes: Any) -> None:
        """As `report`, repeated until the database answers."""
        self.lease.retry_until_lost(partial(self.report, **changes))

    def fail(self, error: DarkroomError) -> None:
        kept = self.store_log(self, quickly=False)
        self.lease.retry_until_lost(lambda: fail_attempt(self.db, self.table, self.claim, error, on_commit=kept))
        self.log.warning(f"{self.noun}.failed", slug=error.slug, detail=error.detail)

    def lose(self, error: DarkroomError) -> None:
        """Count the attempt as lost, as when its worker dies: the row waits again, or fails with `error`."""
        kept = self.store_log(self, quickly=False)
        self.lease.retry_until_lost(lambda: lose_attempt(self.db, self.table, self.claim, error, on_commit=kept))
        self.log.warning(f"{self.noun}.child_killed", detail=error.detail)

    def refuse(self, error: DarkroomError) -> None:
        """Count the attempt as refused: the row waits again, each time longer, or fails with `error`."""
        kept = self.store_log(self, quickly=True)
        row = self.lease.retry_until_lost(
            lambda: refuse_attempt(self.db, self.table, self.claim, error, on_commit=kept)
        )
        self.log.warning(f"{self.noun}.refused", state=row.state, slug=error.slug, cause=error.facts.get("cause"))

    def fail_for_space(self, error: NoSpace) -> None:
        """Resumable work waits for room a few times, and goes on from its checkpoint; other work fails."""
        table: type[Leased] = self.table
        if issubclass(table, Resumable):
            self.refuse(error)
        else:
            self.fail(error)

    def cancel(self) -> None:
        kept = self.store_log(self, quickly=True)
        self.lease.retry_until_lost(lambda: cancel_attempt(self.db, self.table, self.claim, on_commit=kept))
        self.log.info(f"{self.noun}.cancelled")

    def give_back(self, *, later: bool) -> None:
        """Raises Unavailable, too: then the lease expires, and the sweep gives the row back."""
        kept = self.store_log(self, quickly=True)
        self.lease.raise_if_lost()
        give_back_attempt(self.db, self.table, self.claim, later=later, on_commit=kept)
        self.log.info(f"{self.noun}.given_back")


StoreLog = Callable[..., OnCommit]  # (attempt, *, quickly: bool): stores what the attempt printed; commits its key


def store_no_log(_attempt: Attempt[Any], *, quickly: bool) -> OnCommit:  # noqa: ARG001 - the signature of StoreLog
    return do_nothing


def run_attempt(
    worker: Worker,
    table: type[Row],
    row_id: str,
    work: Callable[[Attempt[Row], Row], None],
    *,
    store_log: StoreLog = store_no_log,
) -> None:
    """Claim a row, if it still waits, and do `work`; the row records how that ended. Raises Unavailable (the claim)."""
    settings, db = worker.platform.settings, worker.platform.db
    claimed = claim_row(db, table, row_id, worker.name, lease_seconds=settings.lease_seconds)
    if claimed is None:
        return
    claim, row = claimed
    lease = LeaseKeeper(
        lambda worked: renew_lease(db, table, claim, lease_seconds=settings.lease_seconds, worked_seconds=worked),
        lambda: poll_claim(db, table, claim),
        worker.draining,
        lease_seconds=settings.lease_seconds,
        heartbeat_seconds=settings.heartbeat_seconds,
    )
    scratch = scratch_root(settings) / scratch_name(claim)
    names = log_names(db, claim.id)
    with lease, ExitStack() as folders, structlog.contextvars.bound_contextvars(**names):
        timer = StageTimer(db, table.noun(), stage=str(row.stage))
        attempt = Attempt(worker, table, claim, lease, scratch, folders, store_log, timer, names)
        attempt.log.info(f"{attempt.noun}.claimed")
        try:
            _work_to_an_end(attempt, row, work)
        except ClaimLost:
            _cancel_or_leave(attempt)
        except Unavailable:
            attempt.log.warning(f"{attempt.noun}.lost")  # its lease expires, and the sweep gives the row back
        timer.begin(None)


def _work_to_an_end(attempt: Attempt[Row], row: Row, work: Callable[[Attempt[Row], Row], None]) -> None:
    """Raises ClaimLost, and Unavailable when the end cannot be written."""
    try:
        attempt.folders.enter_context(fresh_folder(attempt.scratch.parent, attempt.scratch.name))
        work(attempt, row)
    except ClaimLost:
        raise
    except CancelRequested:
        attempt.cancel()
    except DrainRequested:
        attempt.give_back(later=False)
    except StoreRefused as error:
        attempt.refuse(error)
    except Unavailable as error:
        attempt.log.warning(f"{attempt.noun}.interrupted", reason=error.detail)
        attempt.give_back(later=True)
    except OutOfSpace as error:
        attempt.fail_for_space(NoSpace(error.detail, **error.facts))
    except NoSpace as error:
        attempt.fail_for_space(error)
    except DarkroomError as error:
        attempt.fail(error)
    except Exception as error:
        attempt.log.exception(f"{attempt.noun}.crashed")
        if is_full_disk(error):
            attempt.fail_for_space(NoSpace("The worker's disk is full."))
        else:
            attempt.fail(Internal())


def _cancel_or_leave(attempt: Attempt[Any]) -> None:
    """A write that found the row cancelling is a cancel; otherwise the row belongs to this attempt no more."""
    try:
        attempt.lease.raise_if_lost()
        if poll_claim(attempt.db, attempt.table, attempt.claim).cancel:
            return attempt.cancel()
    except (ClaimLost, Unavailable):
        pass
    attempt.log.warning(f"{attempt.noun}.lost")
