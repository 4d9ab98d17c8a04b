"""What the tables are made of: the base class, times in UTC, the columns of leased and of resumable work."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, Float, Index, MetaData, String, text
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import DateTime, TypeDecorator

from core.domain.states import Lifecycle

LIVING = "deleted_at IS NULL"


def index_of(rows: str, name: str, *columns: str) -> Index:
    """An index of the rows that a condition names, which a query repeats to use it."""
    return Index(name, *columns, sqlite_where=text(rows), postgresql_where=text(rows))


class UtcDateTime(TypeDecorator[datetime]):
    """Timezone-aware UTC in Python; without a zone in SQLite, with one in PostgreSQL."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("a time without a zone")
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own convention
        datetime: UtcDateTime,
        dict[str, Any]: JSON(none_as_null=True),
        list[str]: JSON(none_as_null=True),
        list[dict[str, Any]]: JSON(none_as_null=True),
        str: String,
        float: Float(53),
    }


class Leased:
    """What work that a worker claims has in common: a state, a lease to renew, the queue's memory, numbered events.

    A kind of work is a table with these columns and the three class variables; the use cases are in
    core/services/work, written once over such a table.
    """

    lifecycle: ClassVar[Lifecycle]
    # The fields that polling returns and events carry, by the names of the JSON.
    public: ClassVar[tuple[str, ...]]
    # The fields that describe one attempt: cleared when it begins and when it ends.
    of_attempt: ClassVar[tuple[str, ...]]

    @classmethod
    def noun(cls) -> str:
        """`job`, `run` or `operation`: the prefix of its ids, for the names of log events and totals."""
        return cls.__name__.removesuffix("Row").lower()

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    stage: Mapped[str | None] = mapped_column(String(40))
    progress: Mapped[dict[str, Any] | None]
    problem: Mapped[dict[str, Any] | None]
    attempt: Mapped[int] = mapped_column(default=0)  # grows at every claim and fences every later write
    worker: Mapped[str | None]
    lease_expires_at: Mapped[float | None]  # the database's clock
    lost_leases: Mapped[int] = mapped_column(default=0)
    refusals: Mapped[int] = mapped_column(default=0, server_default="0")  # attempts that the store or a full disk ended
    enqueued_at: Mapped[float | None]  # the database's clock
    enqueue_count: Mapped[int] = mapped_column(default=0)  # each time the sweep waits longer before the next message
    event_seq: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    @classmethod
    def whole(cls) -> tuple[Any, ...]:
        """What a changing statement returns: RETURNING leaves out what a subquery reads with the row."""
        return (cls, cls.__dict__["project"]) if "project" in cls.__dict__ else (cls,)

    def public_values(self) -> dict[str, Any]:
        """What polling returns, and events carry, by the names in `public`."""
        return {name: getattr(self, name) for name in self.public}


class Resumable:
    """What leased work with checkpoints has beside: it can be stopped early, and the next attempt continues it."""

    stop_requested: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    spent_seconds: Mapped[float] = mapped_column(default=0.0, server_default="0")  # over all attempts
    checkpoint_key: Mapped[str | None]
    checkpoint_epoch: Mapped[int | None]
    checkpoint_sha256: Mapped[str | None] = mapped_column(String(64))
    checkpoint_bytes: Mapped[int | None] = mapped_column(BigInteger)  # None without one, or stored before 0014
    checkpoint_at: Mapped[datetime | None]
