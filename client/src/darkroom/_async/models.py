"""Versions of models, what is exported of them, and how good they are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from darkroom._async.downloads import download, download_when_written
from darkroom._async.transport import AsyncTransport
from darkroom._async.work import LONG_POLL_SECONDS, without_none
from darkroom.files import OnBytes, PathLike
from darkroom.names import (
    evaluation_id_of,
    export_id_of,
    job_id_of,
    model_name_of,
    path_of,
    project_name_of,
    split_model,
)
from darkroom.schemas import (
    Alias,
    ComparedImage,
    Comparison,
    Dataset,
    Evaluation,
    EvaluationMatrix,
    Export,
    ExportList,
    ModelVersion,
    Operation,
    Project,
)

PRODUCTION, LATEST = "production", "latest"


class AsyncModels:
    """A model is `raccoons`, `raccoons/v3`, `raccoons@production`, a job_id, or a version as an object.

    A project alone means its `production`, else its latest version; a job_id means its latest.
    """

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    def list(
        self, *, project: Project | str | None = None, dataset: Dataset | str | None = None
    ) -> AsyncIterator[ModelVersion]:
        """Newest first."""
        name = None if project is None else project_name_of(project)
        job_id = None if dataset is None else job_id_of(dataset)
        return self._transport.pages(ModelVersion, "/models", {"project": name, "job_id": job_id})

    async def get(self, model: ModelVersion | str) -> ModelVersion:
        """With metrics by split, params, artifacts and aliases."""
        line, version = await resolve(self._transport, model)
        return await self._transport.read(ModelVersion, path_of("/models/{}/{}", line, version))

    async def download(self, model: ModelVersion | str, to: PathLike = ".", *, on_bytes: OnBytes | None = None) -> Path:
        """Its weights, whose sha256 is checked. `to` is a folder, or the file to write."""
        line, version, alias = split_model(model)
        query = without_none(version=version or None, alias=alias or None)
        return await download(self._transport, path_of("/download/model/{}", line), to, query=query, on_bytes=on_bytes)

    async def artifact(
        self, model: ModelVersion | str, name: str, to: PathLike = ".", *, on_bytes: OnBytes | None = None
    ) -> Path:
        """One of `artifacts`: `metrics.json`, `results.csv`, a plot."""
        line, version = await resolve(self._transport, model)
        path = path_of("/models/{}/{}/artifacts/{}", line, version, name)
        return await download(self._transport, path, to, on_bytes=on_bytes)

    async def bundle(self, model: ModelVersion | str, to: PathLike = ".", *, on_bytes: OnBytes | None = None) -> Path:
        """One ZIP with all that a user of the model needs; waits while the service writes it."""
        line, version = await resolve(self._transport, model)
        path = path_of("/models/{}/{}/bundle", line, version)
        return await download_when_written(self._transport, path, to, on_bytes=on_bytes)

    async def import_file(
        self, project: Project | str, file: PathLike, *, dataset: Dataset | str | None = None
    ) -> Operation:
        """A model trained elsewhere as a version: a `.pt` file, an `.onnx` file, or a ZIP of a folder of transformers.

        Evaluated on `dataset`, a job_id or `d2` of the project. Returns at once; its operation's result names the
        version, or its problem says why the model was refused.
        """
        path = path_of("/projects/{}/versions", project_name_of(project))
        media_type = "application/zip" if str(file).endswith(".zip") else "application/octet-stream"
        query = {"dataset": None if dataset is None else job_id_of(dataset)}
        return await self._transport.write_file(Operation, path, Path(file), media_type=media_type, query=query)


class AsyncExports:
    """Files of a version that run without its framework, each with its certificate."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list(self, model: ModelVersion | str) -> ExportList:
        """All formats side by side, with the model itself, what is being made and what failed."""
        path = await self._path(model)
        found = await self._transport.read(ExportList, path)
        items, cursor = found.items, found.next_cursor
        while cursor:
            page = await self._transport.read(ExportList, path, {"cursor": cursor})
            items, cursor = items + page.items, page.next_cursor
        return replace(found, items=items, next_cursor=None)

    async def create(
        self,
        model: ModelVersion | str,
        *,
        format: str = "onnx",
        precision: str = "fp32",
        nms: str = "outside",
        max_drop: float | None = None,
    ) -> Operation:
        """Queues one. `format`: `onnx`, `openvino`, `torchscript`, `tensorrt`; `precision`: `fp32`, `fp16`, `bf16`,
        `int8`.

        `nms`: `inside` the file, or `outside`. `max_drop`: how much lower its metric may be.
        """
        body = without_none(format=format, precision=precision, nms=nms, max_drop=max_drop)
        return await self._transport.write(Operation, "POST", await self._path(model), body)

    async def get(self, model: ModelVersion | str, export: Export | str) -> Export:
        return await self._transport.read(Export, f"{await self._path(model)}/{export_id_of(export)}")

    async def certificate(self, model: ModelVersion | str, export: Export | str) -> Mapping[str, Any]:
        """What was compared with the model, and within which bounds."""
        path = f"{await self._path(model)}/{export_id_of(export)}/certificate"
        found: dict[str, Any] = await self._transport.json("GET", path)
        return found

    async def download(
        self,
        model: ModelVersion | str,
        export: Export | str,
        to: PathLike = ".",
        *,
        force: bool = False,
        on_bytes: OnBytes | None = None,
    ) -> Path:
        """The file. `force`: also where its certificate did not pass."""
        path = f"{await self._path(model)}/{export_id_of(export)}/download"
        return await download(self._transport, path, to, query={"force": force}, on_bytes=on_bytes)

    async def draw(self, model: ModelVersion | str, to: PathLike) -> Path:
        """All of them beside the model, as an SVG file."""
        return await download(self._transport, f"{await self._path(model)}/plot", to)

    async def delete(self, model: ModelVersion | str, export: Export | str) -> None:
        await self._transport.send("DELETE", f"{await self._path(model)}/{export_id_of(export)}")

    async def _path(self, model: ModelVersion | str) -> str:
        line, version = await resolve(self._transport, model)
        return path_of("/models/{}/{}/exports", line, version)


class AsyncEvaluations:
    """Versions, and exports of them, on any dataset of their kind."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        project: Project | str | None = None,
        model: ModelVersion | str | None = None,
        export: Export | str | None = None,
        dataset: Dataset | str | None = None,
        split: str | None = None,
    ) -> AsyncIterator[Evaluation]:
        """Newest first."""
        query = {
            "project": None if project is None else project_name_of(project),
            "version": None if model is None else model_name_of(model),
            "export": None if export is None else export_id_of(export),
            "job_id": None if dataset is None else job_id_of(dataset),
            "split": split,
        }
        return self._transport.pages(Evaluation, "/evaluations", query)

    async def create(
        self,
        dataset: Dataset | str,
        *,
        model: ModelVersion | str | None = None,
        export: Export | str | None = None,
        split: str = "test",
        force: bool = False,
    ) -> Operation:
        """Queues the evaluation of a `model` or of an `export`; what was evaluated before is answered at once.

        `force`: also an export whose certificate did not pass.
        """
        body = without_none(
            version=None if model is None else model_name_of(model),
            export=None if export is None else export_id_of(export),
            **{"job_id": job_id_of(dataset), "split": split, "force": force},
        )
        return await self._transport.write(Operation, "POST", "/evaluations", body)

    async def get(self, evaluation: Evaluation | str) -> Evaluation:
        """With its artifacts."""
        return await self._transport.read(Evaluation, _evaluation_path(evaluation))

    async def artifact(
        self, evaluation: Evaluation | str, name: str, to: PathLike = ".", *, on_bytes: OnBytes | None = None
    ) -> Path:
        path = f"{_evaluation_path(evaluation)}{path_of('/artifacts/{}', name)}"
        return await download(self._transport, path, to, on_bytes=on_bytes)

    async def delete(self, evaluation: Evaluation | str) -> None:
        await self._transport.send("DELETE", _evaluation_path(evaluation))

    async def compare(
        self,
        project: Project | str,
        first: str,
        second: str,
        *,
        dataset: Dataset | str | None = None,
        split: str = "test",
    ) -> Comparison:
        """Two versions, such as `v1` and `v2`, on the frozen test set of the project, or on a `dataset`.

        Waits up to a minute for evaluations that are missing; `operations` has those that are still being made. Raises
        Conflict where no test set is frozen and no dataset is named.
        """
        job_id = None if dataset is None else job_id_of(dataset)
        query = {"a": first, "b": second, "job_id": job_id, "split": split, "wait": LONG_POLL_SECONDS}
        return await self._transport.read(Comparison, path_of("/projects/{}/compare", project_name_of(project)), query)

    def compared_images(
        self,
        project: Project | str,
        first: str,
        second: str,
        outcome: str,
        *,
        dataset: Dataset | str | None = None,
        split: str = "test",
    ) -> AsyncIterator[ComparedImage]:
        """The images that the second version answers better (`won`) or worse (`lost`), the clearest first.

        Raises NotFound where `compare` has no `paired`.
        """
        job_id = None if dataset is None else job_id_of(dataset)
        query = {"a": first, "b": second, "outcome": outcome, "job_id": job_id, "split": split}
        return self._transport.pages(
            ComparedImage, path_of("/projects/{}/compare/images", project_name_of(project)), query
        )

    async def draw_comparison(
        self,
        project: Project | str,
        first: str,
        second: str,
        to: PathLike,
        *,
        images: int | None = None,
        outcome: str | None = None,
        dataset: Dataset | str | None = None,
        split: str = "test",
    ) -> Path:
        """Images won and lost with the answers of both versions side by side, as PNG; or those of one `outcome`."""
        job_id = None if dataset is None else job_id_of(dataset)
        query = {"a": first, "b": second, "n": images, "outcome": outcome, "job_id": job_id, "split": split}
        path = path_of("/projects/{}/compare/plot", project_name_of(project))
        return await download(self._transport, path, to, query=query)

    async def matrix(
        self, project: Project | str, *, split: str | None = None, metric: str | None = None
    ) -> EvaluationMatrix:
        """Versions x datasets: `split` by default `test`, `metric` by default the main one."""
        path = path_of("/projects/{}/evaluations/matrix", project_name_of(project))
        found = await self._transport.read(EvaluationMatrix, path, {"split": split, "metric": metric})
        rows, cursor = found.rows, found.next_cursor
        while cursor:
            query = {"split": split, "metric": metric, "cursor": cursor}
            page = await self._transport.read(EvaluationMatrix, path, query)
            rows, cursor = rows + page.rows, page.next_cursor
        return replace(found, rows=rows, next_cursor=None)

    async def draw_matrix(
        self, project: Project | str, to: PathLike, *, split: str | None = None, metric: str | None = None
    ) -> Path:
        """The same as a file: SVG, or a table where its name ends with `.csv`."""
        path = path_of("/projects/{}/evaluations/matrix", project_name_of(project))
        format = "csv" if str(to).endswith(".csv") else "svg"
        return await download(self._transport, path, to, query={"split": split, "metric": metric, "format": format})


async def resolve(transport: AsyncTransport, model: ModelVersion | str) -> tuple[str, str]:
    """Project or job, and the version, such as `v3`."""
    line, version, alias = split_model(model)
    if version:
        return line, version
    if alias:
        found = await transport.read(Alias, path_of("/models/{}/aliases/{}", line, alias))
        return line, found.version
    page = await transport.json("GET", path_of("/models/{}", line), query={"limit": 1})
    if page["job_id"] is None:
        for each in page["aliases"]:
            if each["alias"] == PRODUCTION:
                return line, str(each["version"])
    return line, LATEST


def _evaluation_path(evaluation: Evaluation | str) -> str:
    return path_of("/evaluations/{}", evaluation_id_of(evaluation))
