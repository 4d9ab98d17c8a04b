"""Predictions of many images, in the background."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from darkroom._async import work
from darkroom._async.downloads import download
from darkroom._async.transport import AsyncTransport
from darkroom.files import OnBytes, PathLike
from darkroom.names import batch_id_of, job_id_of, model_name_of, path_of, project_name_of
from darkroom.schemas import Batch, Dataset, ModelVersion, Operation, Project
from darkroom.states import RUN_ENDED, SUCCEEDED


class AsyncBatches:
    """A batch is named by its `operation_id`, or by the object itself."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        project: Project | str | None = None,
        model: ModelVersion | str | None = None,
        dataset: Dataset | str | None = None,
    ) -> AsyncIterator[Batch]:
        """Newest first."""
        query = {
            "project": None if project is None else project_name_of(project),
            "model": None if model is None else model_name_of(model),
            "job_id": None if dataset is None else job_id_of(dataset),
        }
        return self._transport.pages(Batch, "/predict/batch", query)

    async def create(
        self,
        model: ModelVersion | str,
        *,
        dataset: Dataset | str | None = None,
        split: str | None = None,
        upload: str | None = None,
        urls: Sequence[str] | None = None,
        archive: PathLike | None = None,
        confidence: float | None = None,
        iou: float | None = None,
        top: int | None = None,
        tile: int | None = None,
        overlap: float | None = None,
        labelled: bool = True,
    ) -> Batch:
        """Queues the prediction of a `dataset` (perhaps one `split` of it), an `upload`, `urls`, or a local ZIP
        (`archive`).

        `upload`: a resumable upload or the job that it became, even a rejected one: the images of its ZIP.
        `labelled`: also a ZIP of the images with their predictions as labels, to correct and upload.
        """
        source: dict[str, Any] = {"job_id": None if dataset is None else job_id_of(dataset), "split": split}
        source |= {"upload": upload, "urls": None if urls is None else list(urls)}
        options = {"confidence": confidence, "iou": iou, "top": top, "tile": tile, "overlap": overlap}
        body = work.without_none(model=model_name_of(model), labelled=labelled, **source, **options)
        if archive is None:
            operation = await self._transport.write(Operation, "POST", "/predict/batch", body)
        else:
            operation = await self._transport.write_file(
                Operation, "/predict/batch", Path(archive), media_type="application/zip", query=body
            )
        return await self.get(operation.operation_id)

    async def get(self, batch: Batch | str) -> Batch:
        return await self._transport.read(Batch, _path(batch))

    async def wait(self, batch: Batch | str, *, timeout: float | None = None, check: bool = True) -> Batch:
        """When it succeeded. Raises WorkFailed where it ends otherwise (unless `check=False`), WaitTimeout."""
        found = await work.wait_until_ended(self._transport, Batch, _path(batch), ended=RUN_ENDED, timeout=timeout)
        return work.succeeded(found, name=f"batch {found.operation_id}", state=SUCCEEDED) if check else found

    async def download(
        self, batch: Batch | str, to: PathLike = ".", *, format: str = "jsonl", on_bytes: OnBytes | None = None
    ) -> Path:
        """The predictions as `jsonl`, `csv`, `coco`, `coco-results`, or a labelled `zip`."""
        query = {"format": format}
        return await download(self._transport, f"{_path(batch)}/results", to, query=query, on_bytes=on_bytes)

    async def delete(self, batch: Batch | str) -> None:
        """With its files. One that has not ended is cancelled."""
        await self._transport.send("DELETE", _path(batch))


def _path(batch: Batch | str) -> str:
    return path_of("/predict/batch/{}", batch_id_of(batch))
