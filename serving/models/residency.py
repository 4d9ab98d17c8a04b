"""The models in memory: loaded in their own threads, switched to when warm, the one used least recently out first."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from core import clock
from core.domain.errors import (
    DarkroomError,
    Gone,
    ModelLoading,
    ModelNotServable,
    NotFound,
    ProjectRenamed,
    Unavailable,
)
from core.services.context import Platform
from core.services.models.served import Served, find_served
from serving.models.cache import ExportCache
from serving.models.loading import LoadedModel, open_model

POLL_SECONDS = 0.5  # a changed alias is seen within this time
NAME_SECONDS = 600.0  # a name that nobody used for this long is not looked up any more
FAILED_SECONDS = 10.0  # a load that failed is not tried again within this time
FETCHES = 4  # at once
OPEN_TRIES = 3  # of a file that other processes remove from the cache before it is open
LATENCIES = 1000  # of each model, for the list of models

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Name:
    """What a name means now. `problem`: why its newest version is not what answers."""

    served: Served
    used_at: float
    problem: str = ""


class Models:
    """For one event loop. `use` is all that a request needs."""

    def __init__(self, platform: Platform, *, threads: int) -> None:
        settings = platform.settings
        self._platform, self._threads = platform, threads
        self._max_bytes, self._load_seconds = settings.serving_memory_bytes, settings.serving_load_seconds
        self._cache = ExportCache(
            platform.store,
            settings.cache / "exports",
            max_bytes=settings.serving_cache_bytes,
            reserve_bytes=settings.disk_reserve_bytes // 2,
        )
        self._names: dict[str, Name] = {}
        self._loaded: dict[str, LoadedModel] = {}  # by the export's id
        self._loading: dict[str, asyncio.Task[LoadedModel]] = {}
        self._failed: dict[str, tuple[float, DarkroomError]] = {}  # when, and why
        self._switching: dict[str, asyncio.Task[None]] = {}
        self.counts: Counter[str] = Counter()  # of what happened to models, by event
        self._fetcher = ThreadPoolExecutor(FETCHES, thread_name_prefix="fetch")
        # One at a time: two that are measured at once would both be measured wrongly.
        self._opener = ThreadPoolExecutor(1, thread_name_prefix="load")

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
            if not model.in_use:
                self._evict(keep=model.served.export_id)  # what was in use may have kept it from fitting

    async def follow_names(self) -> None:
        """For ever: look up the names in use, load what they mean by now, then switch to it."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self._follow()
            except Exception as error:  # noqa: BLE001 - whatever it is, what is loaded goes on answering
                log.warning("names.not_followed", error=repr(error)[:500])

    def all(self) -> list[LoadedModel]:
        """In the order of their loading."""
        return list(self._loaded.values())

    def names(self) -> dict[str, Name]:
        """Those that requests used lately."""
        return dict(sorted(self._names.items()))

    def names_of(self, model: LoadedModel) -> list[str]:
        return [name for name, each in self.names().items() if each.served.export_id == model.served.export_id]

    def close(self) -> None:
        for task in (*self._switching.values(), *self._loading.values()):
            task.cancel()
        self._fetcher.shutdown(wait=False, cancel_futures=True)
        self._opener.shutdown(wait=False, cancel_futures=True)

    async def _model(self, name: str) -> LoadedModel:
        known = self._names.get(name)
        if known is None:
            served = await asyncio.to_thread(self._find, name)
            known = self._names[name] = Name(served, clock.monotonic())
        known.used_at = clock.monotonic()
        return self._loaded.get(known.served.export_id) or await self._load_in_time(known.served)

    async def _load_in_time(self, served: Served) -> LoadedModel:
        loading = self._load(served)
        try:
            return await asyncio.wait_for(asyncio.shield(loading), self._load_seconds)
        except TimeoutError as error:
            raise ModelLoading(f"{served.name} is being loaded.", name=served.name) from error

    def _load(self, served: Served) -> "asyncio.Task[LoadedModel]":
        """Raises what the last load raised, where that is not long ago: it would be repeated for every request."""
        failed = self._failed.get(served.export_id)
        if failed and clock.monotonic() - failed[0] < FAILED_SECONDS:
            raise type(failed[1])(failed[1].detail, **failed[1].facts)  # not itself: it would keep every traceback
        loading = self._loading.get(served.export_id)
        if loading is None:
            loading = self._loading[served.export_id] = asyncio.create_task(self._load_in_threads(served))
            loading.add_done_callback(lambda task: self._note_end(served, task))
        return loading

    def _note_end(self, served: Served, loading: "asyncio.Task[LoadedModel]") -> None:
        self._loading.pop(served.export_id, None)
        self._failed.pop(served.export_id, None)
        error = None if loading.cancelled() else loading.exception()
        if not isinstance(error, DarkroomError):
            return
        self._failed[served.export_id] = (clock.monotonic(), error)
        self.counts["not_loaded"] += 1
        log.warning("model.not_loaded", model=served.name, slug=error.slug, detail=error.detail)

    async def _load_in_threads(self, served: Served) -> LoadedModel:
        """Raises DarkroomError alone: what an engine or the disk raises says that the model cannot be loaded."""
        try:
            model = await self._opened(served)
        except DarkroomError:
            raise
        except OSError as error:
            detail = f"The export of {served.name} cannot be read or written on this machine: {error.strerror}."
            raise Unavailable(detail, name=served.name) from error
        except Exception as error:
            detail = f"{served.name} cannot be loaded: {error!r}"[:500]
            raise ModelNotServable(detail, name=served.name) from error
        self._loaded[served.export_id] = model
        self._evict(keep=served.export_id)
        self.counts["loaded"] += 1
        log.info(
            "model.loaded",
            model=served.name,
            engine=model.choice.engine,
            precision=served.precision,
            seconds=round(model.load_seconds, 3),
            milliseconds=model.choice.milliseconds,
        )
        return model

    async def _opened(self, served: Served) -> LoadedModel:
        """Another process may remove the file from the cache before it is open: then it is fetched again."""
        for left in reversed(range(OPEN_TRIES)):
            file = await asyncio.get_running_loop().run_in_executor(self._fetcher, self._cache.file_of, served)
            try:
                return await self._opened_from(file, served)
            except Exception:  # engines raise their own kinds for a file that is gone; any other error goes on
                if file.exists() or not left:
                    raise
                log.info("export.removed_while_opened", sha256=served.sha256)
        raise AssertionError("the last try returns or raises")

    async def _opened_from(self, file: Path, served: Served) -> LoadedModel:
        """Slow fetches of one model do not keep another one from being opened."""
        settings = self._platform.settings
        return await asyncio.get_running_loop().run_in_executor(
            self._opener,
            lambda: open_model(
                served,
                file,
                engine=settings.serving_engine,
                device=settings.serving_device,
                threads=self._threads,
                now=clock.monotonic(),
            ),
        )

    def _find(self, name: str) -> Served:
        return find_served(self._platform.db, name, precision=self._platform.settings.serving_precision)

    async def _follow(self) -> None:
        idle = clock.monotonic() - NAME_SECONDS
        for name in [name for name, known in self._names.items() if known.used_at < idle]:
            del self._names[name]
        found = await asyncio.to_thread(self._find_all, list(self._names))
        for name, served in found.items():
            if name in self._names and name not in self._switching:
                self._apply(name, self._names[name], served)

    def _find_all(self, names: Iterable[str]) -> dict[str, Served | DarkroomError]:
        """In one thread, name by name."""
        found: dict[str, Served | DarkroomError] = {}
        for name in names:
            try:
                found[name] = self._find(name)
            except DarkroomError as error:
                found[name] = error
        return found

    def _apply(self, name: str, known: Name, found: Served | DarkroomError) -> None:
        if isinstance(found, NotFound | Gone | ProjectRenamed) or _was_deleted(known.served, found):
            del self._names[name]  # the next request gets the reason
            self._forget(known.served)
        elif isinstance(found, DarkroomError):
            # The database does not answer, or the alias points at a version that is not served: what is loaded goes on.
            known.problem = found.detail
        elif found.export_id == known.served.export_id:
            known.served, known.problem = found, ""  # its project may be called otherwise
        else:
            task = self._switching[name] = asyncio.create_task(self._switch(name, known, found))
            task.add_done_callback(lambda _: self._switching.pop(name, None))

    async def _switch(self, name: str, known: Name, served: Served) -> None:
        """To what the name means by now, when it is warm."""
        try:
            if served.export_id not in self._loaded:
                known.problem = f"{served.name} is being loaded."
                await self._load(served)
        except Exception as error:  # noqa: BLE001 - of any kind: it is noted, and the version before goes on answering
            known.problem = error.detail if isinstance(error, DarkroomError) else repr(error)[:500]
            return
        before, known.served, known.problem = known.served, served, ""
        self.counts["switched"] += 1
        log.info("model.switched", name=name, before=before.name, after=served.name)
        self._evict(keep=served.export_id)

    def _forget(self, served: Served) -> None:
        """A deleted version leaves memory with its last name."""
        if all(each.served.export_id != served.export_id for each in self._names.values()):
            self._loaded.pop(served.export_id, None)

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
            self.counts["evicted"] += 1
            log.info("model.evicted", model=model.served.name, bytes=model.bytes)


def _was_deleted(served: Served, found: Served | DarkroomError) -> bool:
    """The name means the same version as before, which has no export any more."""
    return isinstance(found, ModelNotServable) and found.facts.get("name") == served.name
