# Written by client/make_sync.py from darkroom._async: change that, then run it.
"""The frozen test set of a project."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from darkroom._sync.downloads import download
from darkroom._sync.transport import Transport, json_of
from darkroom._sync.work import LONG_POLL_SECONDS
from darkroom.errors import WorkFailed
from darkroom.files import PathLike
from darkroom.names import job_id_of, path_of, project_name_of
from darkroom.schemas import Dataset, FrozenTestSet, Operation, Project
from darkroom.schemas.decode import decode

ACCEPTED = 202


class TestSets:
    """Versions of a project are compared on it, and new datasets leave its images out."""

    __test__ = False  # pytest takes classes of this name for tests

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def set(self, project: Project | str, dataset: Dataset | str) -> FrozenTestSet:
        """Freezes the test split of a dataset of the project, a job_id or `d2`, and waits until its images are listed.

        Raises WorkFailed where they cannot be, Conflict where the dataset is not ready or has no test images.
        """
        body, query = {"job_id": job_id_of(dataset)}, {"wait": LONG_POLL_SECONDS}
        while True:
            response = self._transport.send("PUT", _path(project), query=query, body=body)
            if response.status_code != ACCEPTED:
                return decode(FrozenTestSet, json_of(response))
            operation = decode(Operation, json_of(response))
            if operation.state in ("failed", "cancelled"):
                raise WorkFailed(operation, state=operation.state, name="Freezing", problem=operation.problem)

    def get(self, project: Project | str) -> FrozenTestSet:
        """The one that holds. Raises NotFound without one."""
        return self._transport.read(FrozenTestSet, _path(project))

    def history(self, project: Project | str) -> Iterator[FrozenTestSet]:
        """Every generation, newest first."""
        return self._transport.pages(FrozenTestSet, f"{_path(project)}/history")

    def remove(self, project: Project | str) -> None:
        """Ends the freeze: new datasets take its images again."""
        self._transport.send("DELETE", _path(project))

    def download_list(self, project: Project | str, generation: int, to: PathLike = ".") -> Path:
        """The list of its images, for `python -m pipeline fingerprint --exclude`."""
        return download(self._transport, f"{_path(project)}/{generation}/images", to)


def _path(project: Project | str) -> str:
    return path_of("/projects/{}/test-set", project_name_of(project))
