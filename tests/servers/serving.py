"""The serving app in this process, asked without a socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from core.services.context import Platform
from serving.app import create_app


@asynccontextmanager
async def served(platform: Platform) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(platform)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client,
    ):
        yield client


async def predicted(client: httpx.AsyncClient, content: bytes, model: str, **query: Any) -> httpx.Response:
    params = {"model": model, **query}
    return await client.post("/predict/image", params=params, content=content, headers={"content-type": "image/jpeg"})
