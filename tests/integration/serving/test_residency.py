"""The models in memory and their files: what is damaged, gone, failing or too much."""

import asyncio
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.domain.errors import Gone, ModelNotServable, Unavailable
from core.services.context import Platform, open_platform
from core.services.jobs.project_deletion import delete_project
from core.services.models.exports import delete_export
from core.services.models.served import Served, find_served
from core.services.models.versions import set_alias
from core.settings import Settings
from pipeline.predictor.engines import EngineFailed
from serving.models import loading, residency
from serving.models.residency import Models
from tests.builders.colour_models import export_of
from tests.builders.served import publish


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_of("detection", tmp_path_factory.mktemp("export") / "squares.onnx")


@pytest.fixture
def platform(sqlite_template: Path, tmp_path: Path) -> Iterator[Platform]:
    shutil.copy(sqlite_template, tmp_path / "darkroom.db")
    opened = open_platform(Settings(home=tmp_path, database_url=f"sqlite:///{tmp_path / 'darkroom.db'}"))
    yield opened
    opened.db.close()


def with_settings(platform: Platform, **changes: Any) -> Platform:
    return Platform(platform.settings.model_copy(update=changes), platform.db, platform.store, platform.queue)


def cached(platform: Platform) -> list[Path]:
    """The files of exports on this machine."""
    return sorted(each for each in (platform.settings.cache / "exports").rglob("*") if each.is_file())


async def used(models: Models, name: str) -> str:
    async with models.use(name) as model:
        return model.served.name


def run(platform: Platform, steps: Any) -> None:
    async def main() -> None:
        models = Models(platform, threads=1)
        following = asyncio.create_task(models.follow_names())
        try:
            await steps(models)
        finally:
            following.cancel()
            models.close()

    asyncio.run(main())


async def until(holds: Any) -> None:
    for _ in range(100):
        if holds():
            return
        await asyncio.sleep(0.1)
    raise AssertionError("within 10 s")


def test_a_damaged_file_is_fetched_again_and_files_used_long_ago_are_removed(platform: Platform, export: Path) -> None:
    files = {}
    for number in range(3):  # different bytes, for they are known by their digest
        files[number] = export.with_name(f"{number}.onnx")
        files[number].write_bytes(export.read_bytes() + bytes([0x7A, 0x02, number, number]))  # an unknown field
    names = [publish(platform, f"squares-{number}", file) for number, file in files.items()]
    size = export.stat().st_size

    async def two_of_them(models: Models) -> None:
        for name in names[:2]:
            await used(models, name)

    run(platform, two_of_them)
    first = next(each for each in cached(platform) if each.name == "0.onnx")
    first.write_bytes(first.read_bytes()[: size // 2])
    os.utime(first.parent, (time.time() + 5, time.time() + 5))
    small = with_settings(platform, serving_cache_bytes=int(2.5 * size))

    async def another(models: Models) -> None:
        await used(models, names[0])
        await used(models, names[2])

    run(small, another)
    assert first.stat().st_size == size + 4, "fetched again"
    assert {each.name for each in cached(platform)} == {"0.onnx", "2.onnx"}, "the one used longest ago is gone"


def test_a_file_that_is_removed_before_it_is_open_is_fetched_again_at_once(
    platform: Platform, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = publish(platform, "squares", export)
    opening, tries = residency.open_model, []

    def removed_first(served: Served, file: Path, **options: Any) -> Any:
        tries.append(file.exists())
        if len(tries) == 1:
            shutil.rmtree(file.parent)  # as another process does, whose cache is full
        return opening(served, file, **options)

    monkeypatch.setattr(residency, "open_model", removed_first)

    async def steps(models: Models) -> None:
        assert await used(models, name) == name
        assert tries == [True, True] and not models.counts["not_loaded"]

    run(platform, steps)


def test_a_load_that_fails_is_not_repeated_for_every_request(
    platform: Platform, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = publish(platform, "squares", export)
    tries = []
    answering = residency.ExportCache.file_of

    def failing(_: Any, served: Served) -> Path:
        tries.append(served.name)
        raise Unavailable("The object store does not answer.")

    monkeypatch.setattr(residency.ExportCache, "file_of", failing)
    monkeypatch.setattr(residency, "FAILED_SECONDS", 1.0)

    async def steps(models: Models) -> None:
        for _ in range(20):
            with pytest.raises(Unavailable, match="object store"):
                await used(models, name)
        assert len(tries) == 1
        await asyncio.sleep(1.1)
        monkeypatch.setattr(residency.ExportCache, "file_of", answering)
        assert await used(models, name) == name

    run(platform, steps)


def test_an_engine_or_a_disk_that_fails_at_a_load_is_named_to_the_first_request_already(
    platform: Platform, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [publish(platform, f"squares-{number}", export) for number in range(2)]

    async def steps(models: Models) -> None:
        monkeypatch.setattr(loading, "_measured", lambda *_: (_ for _ in ()).throw(EngineFailed("out of memory")))
        with pytest.raises(ModelNotServable, match="out of memory"):
            await used(models, names[0])
        monkeypatch.setattr(residency.ExportCache, "file_of", lambda *_: Path("nowhere").read_bytes())
        with pytest.raises(Unavailable, match="No such file"):
            await used(models, names[1])

    run(platform, steps)


def test_two_exports_of_the_same_bytes_are_fetched_at_once_and_parts_of_killed_processes_go(
    platform: Platform, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [publish(platform, f"squares-{number}", export) for number in range(2)]
    folder, fetching = platform.settings.cache / "exports", platform.store.fetch
    folder.mkdir(parents=True)
    parts = [folder / f"{name}.part" for name in ("old", "new")]
    for part in parts:
        part.touch()
    os.utime(parts[0], (0, 0))
    both = threading.Barrier(2, timeout=10)

    def fetch(key: str, target: Path) -> Any:
        found = fetching(key, target)
        both.wait()
        return found

    monkeypatch.setattr(platform.store, "fetch", fetch)

    async def steps(models: Models) -> None:
        assert await asyncio.gather(*(used(models, name) for name in names)) == names

    run(platform, steps)
    assert [each.name for each in cached(platform)] == [export.name, "new.part"]


def test_what_is_loaded_answers_while_database_and_store_do_not(
    platform: Platform, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [publish(platform, "squares", export) for _ in range(2)]
    set_alias(platform.db, "squares", "production", version="v1")

    def lost(*_: Any, **__: Any) -> Served:
        raise Unavailable("The database does not answer.")

    def broken(*_: Any, **__: Any) -> Served:
        raise RuntimeError("a driver's own error")

    async def steps(models: Models) -> None:
        assert await used(models, "squares@production") == names[0]
        monkeypatch.setattr(residency, "find_served", lost)
        await until(lambda: models.names()["squares@production"].problem == "The database does not answer.")
        assert await used(models, "squares@production") == names[0]
        monkeypatch.setattr(residency, "find_served", broken)
        await asyncio.sleep(1.1)  # two polls
        assert await used(models, "squares@production") == names[0]
        monkeypatch.setattr(residency, "find_served", find_served)
        set_alias(platform.db, "squares", "production", version="v2")
        await until(lambda: models.names()["squares@production"].served.name == names[1])
        assert await used(models, "squares@production") == names[1]
        assert models.names()["squares@production"].problem == ""

    run(platform, steps)


def test_an_alias_that_points_at_what_cannot_be_served_leaves_the_version_before(
    platform: Platform, export: Path
) -> None:
    good = publish(platform, "squares", export)
    publish(platform, "squares", export, passed=False)
    set_alias(platform.db, "squares", "production", version="v1")

    async def steps(models: Models) -> None:
        assert await used(models, "squares@production") == good
        set_alias(platform.db, "squares", "production", version="v2")
        await until(lambda: "did not pass its certificate" in models.names()["squares@production"].problem)
        assert await used(models, "squares@production") == good
        with pytest.raises(ModelNotServable):
            await used(models, "squares/v2")

    run(platform, steps)


def test_what_is_deleted_leaves_answers_and_memory(platform: Platform, export: Path) -> None:
    names = [publish(platform, project, export) for project in ("squares", "circles", "stars")]

    async def steps(models: Models) -> None:
        for name in names:
            await used(models, name)
        delete_project(platform, "squares")
        delete_export(platform.db, "circles", "v1", models.names()[names[1]].served.export_id)
        await until(lambda: list(models.names()) == [names[2]])
        with pytest.raises(Gone):
            await used(models, names[0])
        with pytest.raises(ModelNotServable):
            await used(models, names[1])
        assert [each.served.name for each in models.all()] == [names[2]]

    run(platform, steps)


def test_a_model_in_use_is_not_evicted_and_leaves_when_it_is_not(platform: Platform, export: Path) -> None:
    names = [publish(platform, f"squares-{number}", export) for number in range(2)]
    small = with_settings(platform, serving_memory_bytes=1)

    async def steps(models: Models) -> None:
        async with models.use(names[0]):
            await used(models, names[1])
            assert names[0] in [each.served.name for each in models.all()]
        await used(models, names[1])
        assert [each.served.name for each in models.all()] == [names[1]]

    run(small, steps)
