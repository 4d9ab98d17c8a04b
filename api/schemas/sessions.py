"""JSON of the sessions of browsers."""

from datetime import UTC, datetime

from pydantic import BaseModel, Field

from api.schemas import Timestamp
from api.schemas.jobs import timestamp
from core.db.tables import SessionRow


class Session(BaseModel):
    """A browser that gave the token."""

    session_id: str = Field(examples=["session_01kaj8x4b1c2d3e4f5g6h7j8k9"])
    label: str = Field(description="Which browser.", examples=["Firefox, Linux"])
    current: bool = Field(description="Whether it is the one of this request.")
    created_at: Timestamp
    last_used_at: Timestamp = Field(description="To the hour.")
    expires_at: Timestamp


def session_of(row: SessionRow, *, current: str | None) -> Session:
    """`current`: the id of the session of the request."""
    return Session(
        session_id=row.id,
        label=row.label,
        current=row.id == current,
        created_at=timestamp(row.created_at),
        last_used_at=timestamp(row.last_used_at),
        expires_at=timestamp(datetime.fromtimestamp(row.expires_at, UTC)),
    )
