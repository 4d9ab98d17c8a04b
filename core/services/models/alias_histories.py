"""All aliases of a project with their moves, in the same number of statements however many there are."""

from collections import defaultdict
from typing import NamedTuple

from sqlalchemy import select

from core.db import Database
from core.db.tables import AliasMoveRow, AliasRow, VersionRow
from core.services.models.versions import NOWHERE, AliasHistory
from core.services.projects.lookup import project_in


class AliasWithEarlier(NamedTuple):
    """`earlier`: the number of the version that a rollback would return to; None at the start of the history."""

    history: AliasHistory
    earlier: int | None


def alias_histories(db: Database, ref: str) -> list[AliasWithEarlier]:
    """By name. `ref`: the slug or id of a project. Raises ProjectNotFound, ProjectRenamed, Gone."""
    with db.reading() as session:
        project = project_in(session, ref)
        mine = (AliasRow.project_id == project.id, AliasRow.number != NOWHERE)
        rows = session.execute(select(AliasRow).where(*mine).order_by(AliasRow.alias)).scalars().all()
        moves: dict[str, list[AliasMoveRow]] = defaultdict(list)
        own = select(AliasMoveRow).where(AliasMoveRow.project_id == project.id)
        for move in session.execute(own.order_by(AliasMoveRow.alias, AliasMoveRow.position)).scalars():
            moves[move.alias].append(move)
        numbers = select(VersionRow.number).where(VersionRow.project_id == project.id, VersionRow.deleted_at.is_(None))
        living = set(session.execute(numbers).scalars())
    return [
        AliasWithEarlier(
            AliasHistory(row, moves[row.alias], is_elsewhere=False), _earlier(row, moves[row.alias], living)
        )
        for row in rows
    ]


def _earlier(row: AliasRow, moves: list[AliasMoveRow], living: set[int]) -> int | None:
    """The `set` before the one in effect whose version is there."""
    by_position = {move.position: move for move in moves}
    move = by_position[row.position]
    while move.position_before:
        move = by_position[move.position_before]
        if move.number in living:
            return move.number
    return None
