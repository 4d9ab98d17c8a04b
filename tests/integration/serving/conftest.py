"""Exports that answer by colours, images for them, and a platform that serves."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.services.context import Platform, open_platform
from core.settings import Settings
from tests.builders.colour_models import draw_scenes, export_of


@pytest.fixture(scope="package")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exports")
    return {kind: export_of(kind, folder / f"{kind}.onnx") for kind in ("detection", "classification")}


@pytest.fixture(scope="package")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return [each.file.read_bytes() for each in draw_scenes(tmp_path_factory.mktemp("scenes"), 8)]


@pytest.fixture
def platform(sqlite_template: Path, tmp_path: Path) -> Iterator[Platform]:
    shutil.copy(sqlite_template, tmp_path / "darkroom.db")
    opened = open_platform(
        Settings(home=tmp_path, database_url=f"sqlite:///{tmp_path / 'darkroom.db'}", serving_threads=2)
    )
    yield opened
    opened.db.close()
