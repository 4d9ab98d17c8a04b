"""What the endpoints share, made once for the event loop."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from core.services.context import Platform
from serving.intake import Intake
from serving.models.residency import Models
from serving.pool import Pool


@dataclass(frozen=True, slots=True)
class Serving:
    platform: Platform
    models: Models
    pool: Pool
    intake: Intake

    @property
    def image_hosts(self) -> frozenset[str]:
        """From which URLs are fetched."""
        return self.platform.settings.allowed_image_hosts


async def serving_of(request: Request) -> Serving:
    return cast(Serving, request.app.state.serving)


CurrentServing = Annotated[Serving, Depends(serving_of)]
