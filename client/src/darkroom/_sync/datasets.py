# Written by client/make_sync.py from darkroom._async: change that, then run it.
"""Datasets: uploads, what was found in them, their images."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from darkroom._sync import work
from darkroom._sync.downloads import download, download_when_written
from darkroom._sync.transport import Transport, new_key
from darkroom._sync.uploads import preflight, upload
from darkroom.errors import ArchiveRefused, NotFound
from darkroom.files import OnBytes, PathLike
from darkroom.names import job_id_of, path_of, place_of, project_name_of
from darkroom.schemas import (
    Dataset,
    DatasetDiff,
    DatasetExport,
    DatasetImage,
    Event,
    Finding,
    ImageDiff,
    Preflight,
    Project,
)
from darkroom.states import DATASET_ENDED, READY
from darkroom.uploads import OnProgress, UploadProgress, accepted_as_addition, records_folder

POLL_SECONDS = 1.0
DATASET_NUMBER = re.compile(r"d[1-9]\d*")


class Datasets:
    """A dataset is named by its `job_id`, as `raccoons/d2`, or by the object itself."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, project: Project | str | None = None, state: str | None = None) -> Iterator[Dataset]:
        """Newest first."""
        name = None if project is None else project_name_of(project)
        return self._transport.pages(Dataset, "/jobs", {"project": name, "state": state})

    def get(self, dataset: Dataset | str) -> Dataset:
        return self._transport.read(Dataset, self._path(dataset))

    def describe(self, dataset: Dataset | str) -> Dataset:
        """With its metadata: classes by split, counts, statistics. A notebook displays them as a table."""
        found = self.get(dataset)
        return replace(found, metadata=self.metadata(dataset)) if found.state == READY else found

    def metadata(self, dataset: Dataset | str) -> Mapping[str, Any]:
        """The immutable dataset_metadata.json."""
        found: dict[str, Any] = self._transport.json("GET", path_of("/dataset/metadata/{}", self._job_id(dataset)))
        return found

    def preflight(self, archive: PathLike) -> Preflight:
        """What the service would say of a ZIP, from its last bytes: nothing else is sent."""
        return preflight(self._transport, Path(archive))

    def upload(
        self,
        archive: PathLike,
        *,
        project: Project | str | None = None,
        extends: Dataset | str | None = None,
        name: str | None = None,
        val_fraction: float | None = None,
        test_fraction: float | None = None,
        seed: int | None = None,
        on_error: str | None = None,
        split: str | None = None,
        background: str | None = None,
        preflight: bool = True,
        wait: bool = True,
        records: PathLike | None = None,
        on_progress: OnProgress | None = None,
    ) -> Dataset:
        """Sends a ZIP of labelled images, in chunks with checksums; the same call continues an interrupted upload.

        `extends`: the dataset that it is added to, as the next one of its project; no image there changes its split.
        `project`: by default one of its own. `on_error`: `reject` or `skip`. `split`: `keep`, `remake` or `sequence`.
        `background`: `auto` or `unlabelled`. With `wait`, returns when the dataset is ready.
        `records`: the folder that remembers unfinished uploads; by default one in the user's cache.
        Raises ArchiveRefused where the preflight says so; with `wait`, WorkFailed where the dataset is rejected.
        """
        path = Path(archive)
        if preflight:
            found = self.preflight(path)
            if not (found.accepted if extends is None else accepted_as_addition(found)):
                raise ArchiveRefused(found)
        fields = work.without_none(
            project=None if project is None else project_name_of(project),
            extends=None if extends is None else self._job_id(extends),
            **{"name": name, "val_fraction": val_fraction, "test_fraction": test_fraction, "seed": seed},
            **{"on_error": on_error, "split": split, "background": background},
        )
        texts = {field: str(value) for field, value in fields.items()}
        folder = Path(records) if records else records_folder()
        report = on_progress or _ignore
        dataset = upload(self._transport, path, fields=texts, records=folder, on_progress=report)
        return self.wait(dataset) if wait else dataset

    def import_huggingface(
        self,
        repository: str,
        *,
        revision: str | None = None,
        subset: str | None = None,
        splits: tuple[str, ...] | None = None,
        image_column: str | None = None,
        label_column: str | None = None,
        project: Project | str | None = None,
        name: str | None = None,
        val_fraction: float | None = None,
        test_fraction: float | None = None,
        seed: int | None = None,
        on_error: str | None = None,
        split: str | None = None,
        background: str | None = None,
        wait: bool = True,
    ) -> Dataset:
        """Images with class labels from a Hugging Face hub, downloaded by the service."""
        body = work.without_none(
            huggingface=repository,
            project=None if project is None else project_name_of(project),
            **{"revision": revision, "subset": subset, "splits": splits},
            **{"image_column": image_column, "label_column": label_column, "name": name},
            **{"val_fraction": val_fraction, "test_fraction": test_fraction, "seed": seed},
            **{"on_error": on_error, "split": split, "background": background},
        )
        return self._accepted("/import-dataset", body, wait=wait)

    def import_from(
        self,
        location: str,
        *,
        sha256: str | None = None,
        project: Project | str | None = None,
        name: str | None = None,
        val_fraction: float | None = None,
        test_fraction: float | None = None,
        seed: int | None = None,
        on_error: str | None = None,
        split: str | None = None,
        background: str | None = None,
        wait: bool = True,
    ) -> Dataset:
        """Fetched by the service, from where its operator allows: a ZIP at `https://...`, the files of
        `s3://bucket/prefix`, or those of a folder on the worker's machine, `file:///srv/datasets/raccoons`. Always
        allowed: `dataset:raccoons/d1`, whose stored ZIP is prepared again, with the options that are given in place of
        its own, and `sample:shapes`, which is drawn.

        `sha256`: what a ZIP at a URL must have. Raises Conflict where it is not allowed, ValueError for another
        kind of location.
        """
        body = work.without_none(
            **place_of(location),
            project=None if project is None else project_name_of(project),
            **{"sha256": sha256, "name": name},
            **{"val_fraction": val_fraction, "test_fraction": test_fraction, "seed": seed},
            **{"on_error": on_error, "split": split, "background": background},
        )
        return self._accepted("/import-dataset", body, wait=wait)

    def wait(self, dataset: Dataset | str, *, timeout: float | None = None, check: bool = True) -> Dataset:
        """When it is ready. Raises WorkFailed where it ends otherwise (unless `check=False`), WaitTimeout."""
        path = self._path(dataset)
        found = work.wait_until_ended(self._transport, Dataset, path, ended=DATASET_ENDED, timeout=timeout)
        return work.succeeded(found, name=found.dataset, state=READY) if check else found

    def follow(self, dataset: Dataset | str, *, seconds: float = POLL_SECONDS) -> Iterator[Dataset]:
        """Its state every so many seconds; the one in which it ended comes last."""
        path = self._path(dataset)
        yield from work.follow(self._transport, Dataset, path, ended=DATASET_ENDED, seconds=seconds)

    def events(self, dataset: Dataset | str, *, after: int = 0) -> Iterator[Event]:
        """Every event once, from the one after the number `after`, until the preparation ends."""
        yield from work.events(self._transport, f"{self._path(dataset)}/events", after=after)

    def findings(
        self, dataset: Dataset | str, *, code: str | None = None, severity: str | None = None
    ) -> Iterator[Finding]:
        """`severity`: `error`, `warning` or `note`."""
        yield from self._transport.pages(
            Finding, f"{self._path(dataset)}/findings", {"code": code, "severity": severity}
        )

    def repair_log(self, dataset: Dataset | str) -> Iterator[Finding]:
        """Every change that the repair made which this dataset comes from."""
        yield from self._transport.pages(Finding, f"{self._path(dataset)}/repair-log")

    def repair(self, dataset: Dataset | str, *, project: Project | str | None = None, wait: bool = True) -> Dataset:
        """A repaired copy as a dataset of its own."""
        name = None if project is None else project_name_of(project)
        return self._accepted(f"{self._path(dataset)}/repair", None, wait=wait, project=name)

    def retry(self, dataset: Dataset | str, *, wait: bool = True) -> Dataset:
        """Prepares it again after a failure of the service."""
        return self._accepted(f"{self._path(dataset)}/retry", None, wait=wait)

    def delete(self, dataset: Dataset | str, *, cancel: bool = False) -> None:
        """With its versions. `cancel` ends its active work first."""
        self._transport.send("DELETE", self._path(dataset), query={"cancel": cancel})

    def images(
        self,
        dataset: Dataset | str,
        *,
        class_name: str | None = None,
        split: str | None = None,
        finding: str | None = None,
        sort: str | None = None,
    ) -> Iterator[DatasetImage]:
        """With their boxes. `sort`: `path`, `size`, `boxes`, `brightness`, `blur`, or `-blur` for the highest first."""
        query = {"class": class_name, "split": split, "finding": finding, "sort": sort}
        yield from self._transport.pages(DatasetImage, path_of("/dataset/images/{}", self._job_id(dataset)), query)

    def image(self, dataset: Dataset | str, sha256: str, *, size: int | None = None, boxes: bool = False) -> bytes:
        """The file, or with `size` an upright thumbnail of that many pixels; with `boxes` drawn into it."""
        path = path_of("/dataset/images/{}/{}", self._job_id(dataset), sha256)
        return (self._transport.send("GET", path, query={"size": size, "boxes": boxes or None})).content

    def diff(
        self, before: Dataset | str, after: Dataset | str, *, change: str | None = None, limit: int | None = None
    ) -> DatasetDiff:
        """What changed: a summary, and the first `limit` images that differ. `diff_images` has all of them.

        `change`: only images that were `added`, `removed`, `replaced`, `changed` or `moved`, or have another `split`.
        """
        path = path_of("/dataset/diff/{}/{}", self._job_id(before), self._job_id(after))
        return self._transport.read(DatasetDiff, path, query={"change": change, "limit": limit})

    def diff_images(
        self, before: Dataset | str, after: Dataset | str, *, change: str | None = None
    ) -> Iterator[ImageDiff]:
        """Every image that differs, by path."""
        path = path_of("/dataset/diff/{}/{}", self._job_id(before), self._job_id(after))
        yield from self._transport.pages(ImageDiff, path, {"change": change})

    def draw_diff(
        self,
        before: Dataset | str,
        after: Dataset | str,
        to: PathLike,
        *,
        images: int | None = None,
        change: str | None = None,
    ) -> Path:
        """Images before and after, side by side, as PNG; or where the name ends with `.csv` a table of all changes."""
        jobs = self._job_id(before), self._job_id(after)
        if str(to).endswith(".csv"):
            path = path_of("/dataset/diff/{}/{}/changes.csv", *jobs)
            return download(self._transport, path, to, query={"change": change})
        path = path_of("/dataset/diff/{}/{}/plot", *jobs)
        return download(self._transport, path, to, query={"n": images, "change": change})

    def sample(self, dataset: Dataset | str, *, images: int = 16) -> bytes:
        """A grid of images with their boxes or classes, as PNG."""
        path = path_of("/dataset/sample/{}", self._job_id(dataset))
        return (self._transport.send("GET", path, query={"n": images})).content

    def download(self, dataset: Dataset | str, to: PathLike = ".", *, on_bytes: OnBytes | None = None) -> Path:
        """The prepared dataset and its manifest, as a tar."""
        return download(self._transport, path_of("/dataset/download/{}", self._job_id(dataset)), to, on_bytes=on_bytes)

    def download_source(self, dataset: Dataset | str, to: PathLike = ".", *, on_bytes: OnBytes | None = None) -> Path:
        """The ZIP as it was uploaded."""
        return download(self._transport, path_of("/dataset/source/{}", self._job_id(dataset)), to, on_bytes=on_bytes)

    def export(
        self,
        dataset: Dataset | str,
        format: str,
        to: PathLike = ".",
        *,
        arrange: str = "paths",
        on_bytes: OnBytes | None = None,
    ) -> Path:
        """The dataset as a ZIP in another format. Boxes: `coco`, `voc`, `yolo`, `hf`; classes: `folders`, `hf`.

        Waits while the service writes it. `arrange`: `paths` keeps the images at their paths, `splits` puts them into a
        folder of each split (`yolo`, `folders`). `exports` lists what a format could not keep.
        """
        path, query = path_of("/dataset/export/{}", self._job_id(dataset)), {"format": format, "arrange": arrange}
        return download_when_written(self._transport, path, to, query=query, on_bytes=on_bytes)

    def exports(self, dataset: Dataset | str) -> Iterator[DatasetExport]:
        """What was written in other formats, newest first."""
        yield from self._transport.pages(DatasetExport, path_of("/dataset/exports/{}", self._job_id(dataset)))

    def delete_export(self, dataset: Dataset | str, export: DatasetExport | str) -> None:
        """The same can be made again."""
        export_id = export if isinstance(export, str) else export.export_id
        self._transport.send("DELETE", path_of("/dataset/exports/{}/{}", self._job_id(dataset), export_id))

    def _accepted(
        self, path: str, body: Mapping[str, Any] | None, *, wait: bool, project: str | None = None
    ) -> Dataset:
        accepted = self._transport.json("POST", path, query={"project": project}, body=body, headers=new_key())
        job_id = str(accepted["job_id"])
        return self.wait(job_id) if wait else self.get(job_id)

    def _path(self, dataset: Dataset | str) -> str:
        return path_of("/jobs/{}", self._job_id(dataset))

    def _job_id(self, dataset: Dataset | str) -> str:
        return resolve_dataset(self._transport, dataset)


def resolve_dataset(transport: Transport, dataset: Dataset | str) -> str:
    """The id of its job: of `raccoons/d2`, which the list of its project has. Raises NotFound."""
    name = job_id_of(dataset)
    project, _, number = name.rpartition("/")
    if not (project and "/" not in project and DATASET_NUMBER.fullmatch(number)):
        return name
    for each in transport.pages(Dataset, path_of("/projects/{}/datasets", project)):
        if each.dataset == name:
            return each.job_id
    raise NotFound(f"The project {project} has no dataset {number}.", slug="job-not-found", status=404)


def _ignore(_progress: UploadProgress) -> None:
    pass
