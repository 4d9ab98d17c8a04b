# Written by client/make_sync.py from darkroom._async: change that, then run it.
"""The client of a service."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os import PathLike
from types import TracebackType

import httpx

from darkroom._sync.batches import Batches
from darkroom._sync.corrections import Corrections
from darkroom._sync.datasets import Datasets
from darkroom._sync.models import Evaluations, Exports, Models
from darkroom._sync.predictions import (
    ImageLike,
    Options,
    annotate_bytes,
    predict_all,
    predict_bytes,
    read_image,
)
from darkroom._sync.projects import Aliases, Projects
from darkroom._sync.runs import Operations, Runs
from darkroom._sync.test_sets import TestSets
from darkroom._sync.transport import Transport
from darkroom.login import resolve_login
from darkroom.names import path_of
from darkroom.retries import Retries
from darkroom.schemas import Format, ModelsInMemory, ModelVersion, Prediction, ProblemPage, Ready, Service, Worker

TIMEOUT_SECONDS = 90.0  # longer than the 60 s that the service lets a request wait


class Client:
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
        http: httpx.Client | None = None,
    ) -> None:
        login = resolve_login(url, token)
        self._transport = Transport(login, timeout=timeout, retries=Retries(retries + 1), http=http)
        self.url = login.url
        self.projects = Projects(self._transport)
        self.aliases = Aliases(self._transport)
        self.test_sets = TestSets(self._transport)
        self.corrections = Corrections(self._transport)
        self.datasets = Datasets(self._transport)
        self.runs = Runs(self._transport)
        self.operations = Operations(self._transport)
        self.models = Models(self._transport)
        self.exports = Exports(self._transport)
        self.batches = Batches(self._transport)
        self.evaluations = Evaluations(self._transport)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    def predict_from_image_path(
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
        return predict_bytes(self._transport, model, read_image(path), options)

    def predict_from_image_bytes(
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
        return predict_bytes(self._transport, model, content, options)

    def predict_from_image_url(
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
        return (predict_all(self._transport, model, [url], options))[0]

    def predict(
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
        return predict_all(self._transport, model, images, options)

    def annotate(
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
        return annotate_bytes(self._transport, model, read_image(image), options)

    def service(self) -> Service:
        """Name and version."""
        return self._transport.read(Service, "/")

    def ready(self) -> Ready:
        """The state of each dependency. Raises ServiceUnavailable where the service is not ready."""
        return self._transport.read(Ready, "/ready")

    def workers(self) -> Iterator[Worker]:
        """Those that are alive, with what they compute on."""
        return self._transport.pages(Worker, "/workers")

    def models_in_memory(self) -> ModelsInMemory:
        """What serving has loaded, for which names, and how fast it answers."""
        return self._transport.read(ModelsInMemory, "/serving/models")

    def formats(self) -> Iterator[Format]:
        """The formats of datasets that the service reads."""
        return self._transport.items(Format, "/formats")

    def explain(self, slug: str) -> ProblemPage:
        """The meaning and the remedy of a problem, by the `slug` of an error."""
        return self._transport.read(ProblemPage, path_of("/problems/{}", slug))
