"""The models in memory: loaded in their own thread, switched to when warm, the one used least recently out first."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from core import clock
from core.domain.errors import DarkroomError, Gone, ModelLoading, ModelNotServable, NotFound
from core.services.context import Platform
from core.services.models.served import Served, find_served
from serving.models.loading import LoadedModel, fetch_export, open_model

POLL_SECONDS = 0.5  # a changed alias is seen within this time
NAME_SECONDS = 600.0  # a name that nobody used for this long is not looked up any more
LATENCIES = 1000  # of each model, for the list of models

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Name:
    """What a name means now. `problem`: why its newest version is not what answers."""

    served: Served
    used_at: float
    problem: str = ""


class Models:
    """For one event loop. `use` is all that a request needs."""

    def __init__(self, platform: Platform, *, threads: int) -> None:
        settings = platform.settings
        self._platform = platform
        self._precision, self._engine = settings.serving_precision, settings.serving_engine
        self._threads, self._max_bytes = threads, settings.serving_memory_bytes
        self._load_seconds = settings.serving_load_seconds
        self._folder: Path = settings.cache / "exports"
        self._names: dict[str, _Name] = {}
        self._loaded: dict[str, LoadedModel] = {}  # by the export's id
        self._loading: dict[str, asyncio.Task[LoadedModel]] = {}
        # One at a time: two that are measured at once would both be measured wrongly.
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="load")

    @asynccontextmanager
    async def use(self, name: str) -> AsyncIterator[LoadedModel]:
        """The model that answers for `name` now; it is not evicted inside the block.

        A model that is not in memory is loaded first. Raises what `find_served` raises, and ModelLoading after
        `serving_load_seconds`: the load goes on.
        """
        model = await self._model(name)
        model.in_use += 1
        model.used_at = clock.monotonic()
        try:
            yield model
        finally:
            model.in_use -= 1

    async def follow_names(self) -> None:
        """For ever: look up the names in use, load what they mean by now, then switch to it."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            for name in list(self._names):
                with suppress(DarkroomError):  # the database does not answer: what is loaded goes on answering
                    await self._follow(name)

    def all(self) -> list[LoadedModel]:
        """In the order of their loading."""
        return list(self._loaded.values())

    def names_of(self, model: LoadedModel) -> list[str]:
        return sorted(name for name, each in self._names.items() if each.served.export_id == model.served.export_id)

    def close(self) -> None:
        self._loader.shutdown(wait=False, cancel_futures=True)

    async def _model(self, name: str) -> LoadedModel:
        known = self._names.get(name)
        if known is None:
            served = await asyncio.to_thread(self._find, name)
            known = self._names[name] = _Name(served, clock.monotonic())
        known.used_at = clock.monotonic()
        return self._loaded.get(known.served.export_id) or await self._load_in_time(known.served)

    async def _load_in_time(self, served: Served) -> LoadedModel:
        loading = self._load(served)
        try:
            return await asyncio.wait_for(asyncio.shield(loading), self._load_seconds)
        except TimeoutError as error:
            raise ModelLoading(f"{served.name} is being loaded.", name=served.name) from error

    def _load(self, served: Served) -> "asyncio.Task[LoadedModel]":
        loading = self._loading.get(served.export_id)
        if loading is None:
            loading = self._loading[served.export_id] = asyncio.create_task(self._load_in_thread(served))
            loading.add_done_callback(lambda _: self._loading.pop(served.export_id, None))
        return loading

    async def _load_in_thread(self, served: Served) -> LoadedModel:
        loop = asyncio.get_running_loop()
        model = await loop.run_in_executor(self._loader, self._open, served)
        self._loaded[served.export_id] = model
        self._evict(keep=served.export_id)
        log.info(
            "model.loaded",
            model=served.name,
            engine=model.choice.engine,
            precision=served.precision,
            seconds=round(model.load_seconds, 3),
            milliseconds=model.choice.milliseconds,
        )
        return model

    def _open(self, served: Served) -> LoadedModel:
        reserve = self._platform.settings.disk_reserve_bytes // 2
        file = fetch_export(self._platform.store, served, self._folder, reserve_bytes=reserve)
        return open_model(served, file, engine=self._engine, threads=self._threads, now=clock.monotonic())

    def _find(self, name: str) -> Served:
        return find_served(self._platform.db, name, precision=self._precision)

    async def _follow(self, name: str) -> None:
        known = self._names.get(name)
        if known is None:
            return
        if clock.monotonic() - known.used_at > NAME_SECONDS:
            del self._names[name]
            return
        try:
            served = await asyncio.to_thread(self._find, name)
        except (NotFound, Gone):
            self._names.pop(name, None)  # the next request gets the reason
            return
        except ModelNotServable as error:
            # The alias points at a version that is not served: the one before goes on answering.
            known.problem = error.detail
            return
        if served.export_id == known.served.export_id:
            known.served, known.problem = served, ""  # its project may be called otherwise
            return
        try:
            if served.export_id not in self._loaded:
                await self._load(served)
        except DarkroomError as error:
            known.problem = error.detail
            return
        before, known.served, known.problem = known.served, served, ""
        log.info("model.switched", name=name, before=before.name, after=served.name)
        self._evict(keep=served.export_id)

    def _evict(self, *, keep: str) -> None:
        """Those that nobody uses, least recently used first, until the rest fits."""
        total = sum(model.bytes for model in self._loaded.values())
        for export_id, model in sorted(self._loaded.items(), key=lambda each: each[1].used_at):
            if total <= self._max_bytes:
                return
            if model.in_use or export_id == keep:
                continue
            del self._loaded[export_id]
            total -= model.bytes
            log.info("model.evicted", model=model.served.name, bytes=model.bytes)
