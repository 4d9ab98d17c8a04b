"""The client of a service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from os import PathLike
from types import TracebackType

import httpx

from darkroom._async.batches import AsyncBatches
from darkroom._async.corrections import AsyncCorrections
from darkroom._async.datasets import AsyncDatasets
from darkroom._async.models import AsyncEvaluations, AsyncExports, AsyncModels
from darkroom._async.predictions import (
    ImageLike,
    Options,
    annotate_bytes,
    predict_all,
    predict_bytes,
    read_image,
)
from darkroom._async.projects import AsyncAliases, AsyncProjects
from darkroom._async.runs import AsyncOperations, AsyncRuns
from darkroom._async.test_sets import AsyncTestSets
from darkroom._async.transport import AsyncTransport
from darkroom.login import resolve_login
from darkroom.names import path_of
from darkroom.retries import Retries
from darkroom.schemas import Format, ModelsInMemory, ModelVersion, Prediction, ProblemPage, Ready, Service, Worker

TIMEOUT_SECONDS = 90.0  # longer than the 60 s that the service lets a request wait


class AsyncClient:
    """A connection to a service; close it, or use it in a `with` block.

    `url` and `token`: by default DARKROOM_URL and DARKROOM_API_TOKEN, else those of `darkroom login`. `retries`: how
    often a request is sent again after a failure that may be gone in a moment. `http`: a client of httpx to use, for
    example with a proxy or a certificate of its own.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        timeout: float = TIMEOUT_SECONDS,
        retries: int = 3,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        login = resolve_login(url, token)
        self._transport = AsyncTransport(login, timeout=timeout, retries=Retries(retries + 1), http=http)
        self.url = login.url
        self.projects = AsyncProjects(self._transport)
        self.aliases = AsyncAliases(self._transport)
        self.test_sets = AsyncTestSets(self._transport)
        self.corrections = AsyncCorrections(self._transport)
        self.datasets = AsyncDatasets(self._transport)
        self.runs = AsyncRuns(self._transport)
        self.operations = AsyncOperations(self._transport)
        self.models = AsyncModels(self._transport)
        self.exports = AsyncExports(self._transport)
        self.batches = AsyncBatches(self._transport)
        self.evaluations = AsyncEvaluations(self._transport)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def predict_from_image_path(
        self,
        model: ModelVersion | str,
        path: str | PathLike[str],
        *,
        confidence: float | None = None,
        iou: float | None = None,
        top: int | None = None,
        tile: int | None = None,
        overlap: float | None = None,
        receipt: bool = False,
    ) -> Prediction:
        """Boxes or classes of an image. `model`: `raccoons`, `raccoons/v3`, `raccoons@production`, a job_id.

        `confidence`, `iou`: by default those that the version was certified with. `top`: how many classes. `tile`:
        a large image in tiles of so many pixels, which share `overlap` of their width. `receipt`: with what makes the
        same answer again. Raises RequestInvalid where the file is no image.
        """
        options = Options(confidence, iou, top, tile, overlap, receipt)
        return await predict_bytes(self._transport, model, await read_image(path), options)

    async def predict_from_image_bytes(
        self,
        model: ModelVersion | str,
        content: bytes,
        *,
        confidence: float | None = None,
        iou: float | None = None,
        top: int | None = None,
        tile: int | None = None,
        overlap: float | None = None,
        receipt: bool = False,
    ) -> Prediction:
        """As `predict_from_image_path`, of an encoded image: JPEG, PNG, WebP, ..."""
        options = Options(confidence, iou, top, tile, overlap, receipt)
        return await predict_bytes(self._transport, model, content, options)

    async def predict_from_image_url(
        self,
        model: ModelVersion | str,
        url: str,
        *,
        confidence: float | None = None,
        iou: float | None = None,
        top: int | None = None,
        tile: int | None = None,
        overlap: float | None = None,
        receipt: bool = False,
    ) -> Prediction:
        """As `predict_from_image_path`; the service reads the image, where its operator allows that host."""
        options = Options(confidence, iou, top, tile, overlap, receipt)
        return (await predict_all(self._transport, model, [url], options))[0]

    async def predict(
        self,
        model: ModelVersion | str,
        images: Sequence[ImageLike],
        *,
        confidence: float | None = None,
        iou: float | None = None,
        top: int | None = None,
        tile: int | None = None,
        overlap: float | None = None,
        receipt: bool = False,
    ) -> list[Prediction]:
        """Of many images, each as bytes, a path or a URL: one prediction each, in their order.

        An image that cannot be predicted has an `error`; the others are not affected.
        """
        options = Options(confidence, iou, top, tile, overlap, receipt)
        return await predict_all(self._transport, model, images, options)

    async def annotate(
        self,
        model: ModelVersion | str,
        image: bytes | str | PathLike[str],
        *,
        confidence: float | None = None,
        iou: float | None = None,
        top: int | None = None,
        tile: int | None = None,
        overlap: float | None = None,
    ) -> bytes:
        """The image, of bytes or a path, with what is predicted drawn into it, as JPEG."""
        options = Options(confidence, iou, top, tile, overlap)
        return await annotate_bytes(self._transport, model, await read_image(image), options)

    async def service(self) -> Service:
        """Name and version."""
        return await self._transport.read(Service, "/")

    async def ready(self) -> Ready:
        """The state of each dependency. Raises ServiceUnavailable where the service is not ready."""
        return await self._transport.read(Ready, "/ready")

    def workers(self) -> AsyncIterator[Worker]:
        """Those that are alive, with what they compute on."""
        return self._transport.pages(Worker, "/workers")

    async def models_in_memory(self) -> ModelsInMemory:
        """What serving has loaded, for which names, and how fast it answers."""
        return await self._transport.read(ModelsInMemory, "/serving/models")

    def formats(self) -> AsyncIterator[Format]:
        """The formats of datasets that the service reads."""
        return self._transport.items(Format, "/formats")

    async def explain(self, slug: str) -> ProblemPage:
        """The meaning and the remedy of a problem, by the `slug` of an error."""
        return await self._transport.read(ProblemPage, path_of("/problems/{}", slug))
