"""Freeing room of a project: what would be deleted, the operation that deletes it, and one transaction of that."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import clock
from core.db import Database
from core.db.tables import OperationRow, ProjectRow
from core.db.transitions import change
from core.domain.errors import CursorInvalid
from core.domain.model_names import dataset_name, version_name
from core.domain.retention import FreeableKind, retention_of
from core.domain.states import RunState
from core.services.context import Platform
from core.services.on_commit import OnCommit, do_nothing
from core.services.operations.commands import add_operation, enqueue_operation, operation_in
from core.services.operations.kinds import PURGE
from core.services.paging import Page, cursor_after, value_of_cursor
from core.services.projects.lookup import project_in
from core.services.storage.freeable import Amount, FreeableRow, Scope, freeable, freeable_key, in_turn
from core.services.storage.freeing import free_some
from core.services.storage.usage import amounts_of
from core.services.work.leases import Claim, ClaimLost, held

_SEPARATOR = " "
_AT_ONCE = 100
_INTERRUPTED = sorted(map(str, (RunState.CANCELLED, RunState.FAILED)))
_OF_DATASETS = (FreeableKind.SOURCES, FreeableKind.DATASET_EXPORTS)


class FreeableItem(NamedTuple):
    """`name`: `raccoons/v3`, `raccoons/d2`; None for what has neither."""

    kind: FreeableKind
    id: str
    name: str | None
    bytes: int | None
    at: datetime


@dataclass(frozen=True, slots=True)
class PurgePlan:
    """What a purge deletes as things are now. `operation`: the one that does it; None for a dry run."""

    project: ProjectRow
    scope: Scope
    amounts: Mapping[FreeableKind, Amount]
    items: Page[FreeableItem]
    operation: OperationRow | None = None


@dataclass(frozen=True, slots=True)
class PurgeChoice:
    """What a request chooses. `keep_versions` None: as the project's retention says."""

    kinds: Collection[FreeableKind]
    older_than_days: float = 0.0
    keep_versions: int | None = None


def plan_purge(db: Database, ref: str, choice: PurgeChoice, *, cursor: str | None, limit: int) -> PurgePlan:
    """Changes nothing. Raises ProjectNotFound, ProjectRenamed, Gone, CursorInvalid."""
    with db.reading() as session:
        return _plan(session, project_in(session, ref), choice, cursor=cursor, limit=limit)


def request_purge(
    platform: Platform, ref: str, choice: PurgeChoice, *, limit: int, on_commit: OnCommit = do_nothing
) -> PurgePlan:
    """Queue the operation. It deletes what meets the conditions when it comes to it, and was there at the request.

    Raises ProjectNotFound, ProjectRenamed, Gone.
    """
    with platform.db.transaction() as session:
        project = project_in(session, ref, lock=True)
        plan = _plan(session, project, choice, cursor=None, limit=limit)
        params = {
            "kinds": [str(kind) for kind in FreeableKind if kind in choice.kinds],
            "before": plan.scope.before.isoformat(),
            "keep_versions": plan.scope.keep_versions,
        }
        operation, _ = add_operation(session, PURGE, params, project_id=project.id)
        requested = PurgePlan(project, plan.scope, plan.amounts, plan.items, operation)
        on_commit(session, requested)
    enqueue_operation(platform, operation.id)
    return requested


def parts_of(operation: OperationRow) -> list[tuple[FreeableKind, Scope]]:
    """What the operation deletes, in turn."""
    params = operation.params
    before = datetime.fromisoformat(params["before"])
    kinds = [FreeableKind(kind) for kind in params["kinds"]]
    return in_turn(kinds, Scope(str(operation.project_id), before, params["keep_versions"]))


def count_left(db: Database, operation: OperationRow) -> int:
    """Rows that it has still to delete."""
    kinds = [kind for kind, _ in parts_of(operation)]
    with db.reading() as session:
        return sum(each.count for each in amounts_of(session, kinds, parts_of(operation)[0][1]).values())


def purge_some(
    db: Database, claim: Claim, kind: FreeableKind, scope: Scope, *, deleted: Collection[str], total: int
) -> Mapping[str, Any] | None:
    """One transaction: some rows of a kind, and what was freed so far, in the result of the operation.

    `deleted`: prefixes of objects that are deleted by now. Returns the result, whose `unfinished` are the prefixes of
    objects that are left; None: nothing of this kind is left, nor any prefix. Raises ClaimLost, ProjectNotFound, Gone.
    """
    with db.transaction() as session:
        project_in(session, scope.project_id, lock=True)
        freed = free_some(session, kind, scope)
        before = session.get_one(OperationRow, claim.id, populate_existing=True).result or empty_result()
        left = [prefix for prefix in before["unfinished"] if prefix not in deleted]
        if not freed.found and not freed.prefixes and len(left) == len(before["unfinished"]):
            return None
        result = _added(before, kind, Amount(freed.count, freed.bytes)) | {"unfinished": [*left, *freed.prefixes]}
        progress = {"done": result["count"], "total": max(total, result["count"])}
        guards = held(OperationRow, claim)
        if change(session, OperationRow, claim.id, "progress", where=guards, result=result, progress=progress) is None:
            raise ClaimLost
    return result


def interrupted_purges(db: Database) -> list[tuple[str, list[str]]]:
    """(id, prefixes) of those that were cancelled or failed while objects were left that no row names any more."""
    left = OperationRow.result["unfinished"].as_string()
    ended = (OperationRow.condensed_at.is_(None), OperationRow.finished_at.is_not(None), OperationRow.kind == PURGE)
    interrupted = (*ended, OperationRow.state.in_(_INTERRUPTED), left != "[]")
    with db.reading() as session:
        found = session.execute(select(OperationRow.id, OperationRow.result).where(*interrupted).limit(_AT_ONCE)).all()
    return [(operation_id, result["unfinished"]) for operation_id, result in found]


def note_objects_deleted(db: Database, operation_id: str) -> None:
    """Of an interrupted purge, those below all of its prefixes. One that was retried meanwhile deletes them itself."""
    with db.transaction() as session:
        row = operation_in(session, operation_id, lock=True)
        if row.state in _INTERRUPTED and row.result is not None:
            change(session, OperationRow, operation_id, "purged", result={**row.result, "unfinished": []})


def empty_result() -> dict[str, Any]:
    return {"count": 0, "bytes": 0, "freed": {}, "unfinished": []}


def _added(result: Mapping[str, Any], kind: FreeableKind, amount: Amount) -> dict[str, Any]:
    before = result["freed"].get(str(kind), {"count": 0, "bytes": 0})
    total = {"count": before["count"] + amount.count, "bytes": before["bytes"] + amount.bytes}
    return {
        "count": result["count"] + amount.count,
        "bytes": result["bytes"] + amount.bytes,
        "freed": {**result["freed"], str(kind): total} if amount.count else result["freed"],
    }


def _plan(session: Session, project: ProjectRow, choice: PurgeChoice, *, cursor: str | None, limit: int) -> PurgePlan:
    keep = choice.keep_versions
    keep = retention_of(project.settings).keep_versions if keep is None else keep
    scope = Scope(project.id, clock.now() - timedelta(days=choice.older_than_days), keep)
    kinds = [kind for kind in FreeableKind if kind in choice.kinds]
    items = _items(session, project, in_turn(kinds, scope), cursor=cursor, limit=limit)
    return PurgePlan(project, scope, amounts_of(session, kinds, scope), items)


def _items(
    session: Session, project: ProjectRow, parts: list[tuple[FreeableKind, Scope]], *, cursor: str | None, limit: int
) -> Page[FreeableItem]:
    """By kind, in the order in which they are deleted, and by id within it."""
    first, after = _place(cursor, [kind for kind, _ in parts])
    found: list[FreeableItem] = []
    for kind, scope in parts[first:]:
        rows = freeable(kind, scope).order_by(freeable_key(kind)).limit(limit + 1 - len(found))
        if after:
            rows, after = rows.where(freeable_key(kind) > after), ""
        found += [_item(project, kind, FreeableRow(*row)) for row in session.execute(rows).all()]
        if len(found) > limit:
            break
    items = found[:limit]
    more = len(found) > limit
    return Page(items, cursor_after(f"{items[-1].kind}{_SEPARATOR}{items[-1].id}") if more else None)


def _place(cursor: str | None, kinds: list[FreeableKind]) -> tuple[int, str]:
    """The kind at which a page begins, and the id after which. Raises CursorInvalid."""
    if not cursor:
        return 0, ""
    kind, _, after = value_of_cursor(cursor).partition(_SEPARATOR)
    if kind not in kinds or not after:
        raise CursorInvalid("Use the `next_cursor` of the previous page as the cursor.", cursor=cursor[:200])
    return kinds.index(FreeableKind(kind)), after


def _item(project: ProjectRow, kind: FreeableKind, row: FreeableRow) -> FreeableItem:
    name_of = dataset_name if kind in _OF_DATASETS else version_name
    name = None if row.number is None else name_of(project.slug, row.number)
    return FreeableItem(kind, row.id, name, row.bytes, row.at)
