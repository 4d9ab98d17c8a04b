"""What the endpoints share, made once for the event loop."""

from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends, Request
from sqlalchemy import text
from starlette.concurrency import run_in_threadpool

from core.db import Database
from core.domain.errors import ModelLoading
from core.services.context import Platform
from serving.drawings import Drawings
from serving.intake import Intake
from serving.metrics import ServingMetrics
from serving.models.residency import Models
from serving.pool import Pool


@dataclass(frozen=True, slots=True)
class Serving:
    platform: Platform
    models: Models
    pool: Pool
    drawings: Drawings
    intake: Intake
    metrics: ServingMetrics
    preloading: set[str] = field(default_factory=set)  # names of models that are being loaded at the start

    async def require_ready(self) -> None:
        """Raises Unavailable where the database does not answer, ModelLoading while models are preloaded."""
        await run_in_threadpool(_ask, self.platform.db)
        if self.preloading:
            names = ", ".join(sorted(self.preloading))
            raise ModelLoading(f"Models are loaded at the start: {names}.", name=names)

    @property
    def image_hosts(self) -> frozenset[str]:
        """From which URLs are fetched."""
        return self.platform.settings.allowed_image_hosts


def _ask(db: Database) -> None:
    with db.reading() as session:
        session.execute(text("SELECT 1"))


async def serving_of(request: Request) -> Serving:
    return cast(Serving, request.app.state.serving)


CurrentServing = Annotated[Serving, Depends(serving_of)]
