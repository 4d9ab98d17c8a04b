"""Predictions under the API's address."""

import asyncio
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn

from api.app import create_app
from core.services.context import Platform, open_platform
from core.settings import Settings
from deploy.local.private_stack import free_ports
from serving.app import create_app as create_serving
from tests.builders.colour_models import draw_scenes, export_of
from tests.builders.served import publish


@pytest.fixture
def platform(sqlite_template: Path, tmp_path: Path) -> Iterator[Platform]:
    shutil.copy(sqlite_template, tmp_path / "darkroom.db")
    (port,) = free_ports(1)
    url = f"sqlite:///{tmp_path / 'darkroom.db'}"
    opened = open_platform(Settings(home=tmp_path, database_url=url, serving_port=port, serving_threads=1))
    yield opened
    opened.db.close()


def test_the_api_passes_images_on_and_says_when_nobody_answers(platform: Platform, tmp_path: Path) -> None:
    name = publish(platform, "squares", export_of("detection", tmp_path / "model.onnx"))
    (scene,) = draw_scenes(tmp_path, 1)
    image = scene.file.read_bytes()

    async def run() -> None:
        app = create_app(platform)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost", timeout=60) as client,
        ):
            query = {"model": name}
            headers = {"content-type": "image/jpeg"}
            down = await client.post("/predict/image", params=query, content=image, headers=headers)
            assert (down.status_code, down.json()["slug"]) == (503, "serving-unavailable")
            with running(platform):
                direct = httpx.post(
                    f"{platform.settings.serving_link}/predict/image", params=query, content=image, headers=headers
                )
                passed = await client.post("/predict/image", params=query, content=image, headers=headers)
                assert passed.status_code == 200
                assert passed.json()["images"][0]["boxes"] == direct.json()["images"][0]["boxes"] != []
                unknown = await client.post(
                    "/predict/image", params={"model": "nobody"}, content=image, headers=headers
                )
                assert (unknown.status_code, unknown.json()["slug"]) == (404, "project-not-found")
                drawn = await client.post(
                    "/predict/image", params=query | {"annotated": "true"}, content=image, headers=headers
                )
                assert drawn.headers["content-type"] == "image/jpeg" and drawn.content[:2] == b"\xff\xd8"

    asyncio.run(run())


class running:
    def __init__(self, platform: Platform) -> None:
        config = uvicorn.Config(create_serving(platform), port=platform.settings.serving_port, log_level="warning")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)

    def __enter__(self) -> None:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
