"""Trainings, and the operations in the background."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

from darkroom._async import work
from darkroom._async.transport import AsyncTransport, new_key
from darkroom.names import job_id_of, operation_id_of, path_of, project_name_of, run_id_of
from darkroom.schemas import Dataset, Event, Operation, Project, Run, Trainer
from darkroom.states import RUN_ENDED, SUCCEEDED

POLL_SECONDS = 1.0


class AsyncRuns:
    """A run is named by its `run_id`, or by the object itself."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        project: Project | str | None = None,
        dataset: Dataset | str | None = None,
        state: str | None = None,
    ) -> AsyncIterator[Run]:
        """Newest first."""
        name = None if project is None else project_name_of(project)
        job_id = None if dataset is None else job_id_of(dataset)
        return self._transport.pages(Run, "/runs", {"project": name, "job_id": job_id, "state": state})

    async def get(self, run: Run | str) -> Run:
        return await self._transport.read(Run, _run_path(run))

    async def describe(self, run: Run | str) -> Run:
        """With its epochs so far, of the current attempt. A notebook displays them as curves."""
        found = await self.get(run)
        epochs: dict[int, Mapping[str, Any]] = {}
        async for event in self.events(run):
            progress = event.data.get("progress") or {}
            if progress.get("epoch"):
                epochs[int(progress["epoch"])] = progress
            if event.seq >= found.seq and found.state not in RUN_ENDED:
                break
        return replace(found, epochs=tuple(epochs[number] for number in sorted(epochs)))

    def trainers(self) -> AsyncIterator[Trainer]:
        return self._transport.items(Trainer, "/trainers")

    async def train(
        self,
        dataset: Dataset | str,
        *,
        trainer: str | None = None,
        params: Mapping[str, Any] | None = None,
        allow_leak: bool | None = None,
    ) -> Run:
        """Queues a training; `wait` waits for it. `trainer`: by default that of the kind of the dataset.

        Raises Conflict for a dataset with images of the frozen test set, unless `allow_leak`.

        `params["model"]` may be a version to go on from: `v3`, `@production`, `raccoons/v3`.
        """
        body = work.without_none(trainer=trainer, params=dict(params or {}), allow_leak=allow_leak)
        return await self._posted(path_of("/train-async/{}", job_id_of(dataset)), body)

    async def baseline(
        self,
        dataset: Dataset | str,
        *,
        model: str | None = None,
        templates: tuple[str, ...] | None = None,
        prompts: Mapping[str, tuple[str, ...]] | None = None,
        allow_leak: bool | None = None,
    ) -> Run:
        """Zero-shot CLIP on a classification dataset, without training, published as a version."""
        body = work.without_none(model=model, templates=templates, prompts=prompts, allow_leak=allow_leak)
        return await self._posted(path_of("/baseline/{}", job_id_of(dataset)), body)

    async def wait(self, run: Run | str, *, timeout: float | None = None, check: bool = True) -> Run:
        """When it succeeded. Raises WorkFailed where it ends otherwise (unless `check=False`), WaitTimeout."""
        found = await work.wait_until_ended(self._transport, Run, _run_path(run), ended=RUN_ENDED, timeout=timeout)
        return work.succeeded(found, name=found.run_id, state=SUCCEEDED) if check else found

    def follow(self, run: Run | str, *, seconds: float = POLL_SECONDS) -> AsyncIterator[Run]:
        """Its state every so many seconds; the one in which it ended comes last."""
        return work.follow(self._transport, Run, _run_path(run), ended=RUN_ENDED, seconds=seconds)

    def events(self, run: Run | str, *, after: int = 0) -> AsyncIterator[Event]:
        """Every event once, from the one after the number `after`, until the run ends."""
        return work.events(self._transport, f"{_run_path(run)}/events", after=after)

    async def log(self, run: Run | str, *, tail: int | None = None, attempt: int | None = None) -> str:
        """The trainer's output: its end while the run goes on, all of it afterwards. `tail`: only the last lines."""
        query = {"tail": tail, "attempt": attempt}
        return await self._transport.text(f"{_run_path(run)}/log", query)

    async def cancel(self, run: Run | str) -> Run:
        """Discards it."""
        return await self._posted(f"{_run_path(run)}/cancel", None)

    async def stop(self, run: Run | str) -> Run:
        """Ends it after this epoch, and publishes the best epoch so far."""
        return await self._posted(f"{_run_path(run)}/stop", None)

    async def retry(self, run: Run | str) -> Run:
        """Continues it from its last checkpoint."""
        return await self._posted(f"{_run_path(run)}/retry", None)

    async def _posted(self, path: str, body: Mapping[str, Any] | None) -> Run:
        accepted = await self._transport.json("POST", path, body=body, headers=new_key())
        return await self.get(str(accepted["run_id"]))


class AsyncOperations:
    """What else happens in the background. An operation is named by its `operation_id`, or by the object itself."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        project: Project | str | None = None,
        dataset: Dataset | str | None = None,
        kind: str | None = None,
        state: str | None = None,
    ) -> AsyncIterator[Operation]:
        """Newest first."""
        name = None if project is None else project_name_of(project)
        job_id = None if dataset is None else job_id_of(dataset)
        query = {"project": name, "job_id": job_id, "kind": kind, "state": state}
        return self._transport.pages(Operation, "/operations", query)

    async def get(self, operation: Operation | str) -> Operation:
        return await self._transport.read(Operation, _operation_path(operation))

    async def wait(self, operation: Operation | str, *, timeout: float | None = None, check: bool = True) -> Operation:
        """When it succeeded. Raises WorkFailed where it ends otherwise (unless `check=False`), WaitTimeout."""
        path = _operation_path(operation)
        found = await work.wait_until_ended(self._transport, Operation, path, ended=RUN_ENDED, timeout=timeout)
        return work.succeeded(found, name=f"{found.kind} {found.operation_id}", state=SUCCEEDED) if check else found

    def follow(self, operation: Operation | str, *, seconds: float = POLL_SECONDS) -> AsyncIterator[Operation]:
        """Its state every so many seconds; the one in which it ended comes last."""
        return work.follow(self._transport, Operation, _operation_path(operation), ended=RUN_ENDED, seconds=seconds)

    def events(self, operation: Operation | str, *, after: int = 0) -> AsyncIterator[Event]:
        """Every event once, from the one after the number `after`, until the operation ends."""
        return work.events(self._transport, f"{_operation_path(operation)}/events", after=after)

    async def cancel(self, operation: Operation | str) -> Operation:
        return await self._posted(f"{_operation_path(operation)}/cancel")

    async def retry(self, operation: Operation | str) -> Operation:
        return await self._posted(f"{_operation_path(operation)}/retry")

    async def _posted(self, path: str) -> Operation:
        accepted = await self._transport.json("POST", path, headers=new_key())
        return await self.get(str(accepted["operation_id"]))


def _run_path(run: Run | str) -> str:
    return path_of("/runs/{}", run_id_of(run))


def _operation_path(operation: Operation | str) -> str:
    return path_of("/operations/{}", operation_id_of(operation))
