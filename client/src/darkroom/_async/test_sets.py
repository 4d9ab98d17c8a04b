"""The frozen test set of a project."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from darkroom._async.downloads import download
from darkroom._async.transport import AsyncTransport, json_of
from darkroom._async.work import LONG_POLL_SECONDS
from darkroom.errors import WorkFailed
from darkroom.files import PathLike
from darkroom.names import job_id_of, path_of, project_name_of
from darkroom.schemas import Dataset, FrozenTestSet, Operation, Project
from darkroom.schemas.decode import decode

ACCEPTED = 202


class AsyncTestSets:
    """Versions of a project are compared on it, and new datasets leave its images out."""

    __test__ = False  # pytest takes classes of this name for tests

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def set(self, project: Project | str, dataset: Dataset | str) -> FrozenTestSet:
        """Freezes the test split of a dataset of the project, a job_id or `d2`, and waits until its images are listed.

        Raises WorkFailed where they cannot be, Conflict where the dataset is not ready or has no test images.
        """
        body, query = {"job_id": job_id_of(dataset)}, {"wait": LONG_POLL_SECONDS}
        while True:
            response = await self._transport.send("PUT", _path(project), query=query, body=body)
            if response.status_code != ACCEPTED:
                return decode(FrozenTestSet, json_of(response))
            operation = decode(Operation, json_of(response))
            if operation.state in ("failed", "cancelled"):
                raise WorkFailed(operation, state=operation.state, name="Freezing", problem=operation.problem)

    async def get(self, project: Project | str) -> FrozenTestSet:
        """The one that holds. Raises NotFound without one."""
        return await self._transport.read(FrozenTestSet, _path(project))

    def history(self, project: Project | str) -> AsyncIterator[FrozenTestSet]:
        """Every generation, newest first."""
        return self._transport.pages(FrozenTestSet, f"{_path(project)}/history")

    async def remove(self, project: Project | str) -> None:
        """Ends the freeze: new datasets take its images again."""
        await self._transport.send("DELETE", _path(project))

    async def download_list(self, project: Project | str, generation: int, to: PathLike = ".") -> Path:
        """The list of its images, for `python -m pipeline fingerprint --exclude`."""
        return await download(self._transport, f"{_path(project)}/{generation}/images", to)


def _path(project: Project | str) -> str:
    return path_of("/projects/{}/test-set", project_name_of(project))
