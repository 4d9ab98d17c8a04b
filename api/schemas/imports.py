"""JSON of a request to import a dataset: from a hub, a URL, a bucket or a folder, of another dataset, or a sample."""

from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import ConfigDict, Field, field_validator, model_validator

from core.domain.import_places import absolute_folder, bucket_prefix
from core.domain.slugs import MAX_SLUG
from http_common.remote_address import UrlRefused, remote_name
from pipeline.params.hub_set import REPOSITORY, REVISION, SUBSET, HubSet, RequestedColumns, checked_splits
from pipeline.params.import_origin import ImportOrigin, Sample
from pipeline.params.prepare import PrepareOptions

COMMIT = "6e5b1a2d3c4f5061728394a5b6c7d8e9f0a1b2c3"
DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
PLACES = ("huggingface", "url", "s3", "folder", "dataset", "sample")
_OF_HUB = ("revision", "subset", "splits", *RequestedColumns.model_fields)
_MAX_URL = 4096  # signed ones have 500 to 2,000 characters


class ImportRequest(PrepareOptions, RequestedColumns):
    """One of `huggingface`, `url`, `s3`, `folder`, `dataset` and `sample`, with the options of an upload."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"huggingface": "Bingsu/Human_Action_Recognition", "name": "actions", "val_fraction": 0.15},
                {"huggingface": "org/name", "revision": COMMIT, "splits": ["train", "validation", "test"]},
                {"url": "https://data.example/raccoons.zip", "sha256": DIGEST, "project": "raccoons"},
                {"s3": "s3://datasets/raccoons/2026", "project": "raccoons"},
                {"folder": "/srv/datasets/raccoons", "project": "raccoons"},
                {"dataset": "raccoons/d2", "on_error": "skip"},
                {"sample": "shapes", "project": "shapes"},
            ]
        },
    )

    huggingface: str | None = Field(
        None,
        pattern=REPOSITORY,
        description="Name of a repository on the hub: images with class labels.",
        examples=["Bingsu/Human_Action_Recognition"],
    )
    url: str | None = Field(
        None,
        min_length=1,
        max_length=_MAX_URL,
        description="Of a ZIP, at a host in DARKROOM_IMPORT_HOSTS. Its query is never displayed.",
        examples=["https://data.example/raccoons.zip"],
    )
    s3: str | None = Field(
        None,
        min_length=1,
        max_length=_MAX_URL,
        description="A prefix of a bucket, in DARKROOM_IMPORT_BUCKETS: the files below it, or a single ZIP.",
        examples=["s3://datasets/raccoons/2026"],
    )
    folder: str | None = Field(
        None,
        min_length=1,
        max_length=_MAX_URL,
        description="Absolute path on the worker's machine, in DARKROOM_IMPORT_FOLDERS: a folder, or a ZIP.",
        examples=["/srv/datasets/raccoons"],
    )
    dataset: str | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="A dataset, by its `job_id` or its name, whose stored ZIP is prepared again: also one that was "
        "rejected. Options that are not given are those of that dataset.",
        examples=["raccoons/d2"],
    )
    sample: Sample | None = Field(
        None, description="A small dataset that a worker draws: shapes on busy backgrounds, with their boxes."
    )
    sha256: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="What the ZIP at `url` must have.", examples=[DIGEST]
    )
    revision: str | None = Field(
        None,
        pattern=REVISION,
        description="Of a hub: a commit, tag or branch. By default the newest commit.",
        examples=[COMMIT],
    )
    subset: str | None = Field(
        None,
        pattern=SUBSET,
        description="Of a hub: the subset (configuration). Required where the repository has several.",
    )
    splits: tuple[str, ...] = Field(
        ("train",),
        min_length=1,
        max_length=3,
        description="Of a hub: the splits. One is split again; several (of train, validation, test) are kept.",
    )
    name: str | None = Field(None, max_length=200, description="Name of the job. By default that of what is imported.")
    project: str | None = Field(
        None,
        max_length=MAX_SLUG,
        description="Name of the project that the dataset joins, which is created if there is none.",
        examples=["actions"],
    )

    @field_validator("splits")
    @classmethod
    def check_splits(cls, splits: tuple[str, ...]) -> tuple[str, ...]:
        return checked_splits(splits)

    @field_validator("url")
    @classmethod
    def check_url(cls, url: str | None) -> str | None:
        try:
            if url is not None:
                remote_name(url)
        except UrlRefused as error:
            raise ValueError(str(error)) from error
        if url is not None and not url.isprintable():
            raise ValueError("The URL holds control characters.")
        return url

    @field_validator("s3")
    @classmethod
    def check_s3(cls, url: str | None) -> str | None:
        return url if url is None else str(bucket_prefix(url))

    @field_validator("folder")
    @classmethod
    def check_folder(cls, path: str | None) -> str | None:
        return path if path is None else absolute_folder(path).as_posix()

    @model_validator(mode="after")
    def require_one_place(self) -> "ImportRequest":
        given = [name for name in PLACES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"send exactly one of {', '.join(PLACES)}")
        if self.huggingface is None and (of_hub := [name for name in _OF_HUB if name in self.model_fields_set]):
            raise ValueError(f"{of_hub[0]} is only for huggingface")
        if self.sha256 and self.url is None:
            raise ValueError("sha256 is only for url")
        return self

    def hub_set(self) -> HubSet | None:
        if self.huggingface is None:
            return None
        names = set(HubSet.model_fields) & set(ImportRequest.model_fields)
        return HubSet(repository=self.huggingface, **{name: getattr(self, name) for name in names})

    def origin(self) -> ImportOrigin | None:
        """None for a hub's and for `dataset`."""
        if self.url is not None:
            parts = urlsplit(self.url)
            location = parts._replace(query="", fragment="").geturl()
            return ImportOrigin(kind="url", location=location, query=parts.query or None, sha256=self.sha256)
        if self.s3 is not None:
            return ImportOrigin(kind="s3", location=self.s3)
        if self.sample is not None:
            return ImportOrigin(kind="sample", location=self.sample)
        return None if self.folder is None else ImportOrigin(kind="folder", location=self.folder)

    @property
    def named(self) -> str:
        """The last part of what is imported, without `.zip`."""
        if self.sample:
            return self.sample
        path = self.huggingface or self.s3 or self.folder or unquote(urlsplit(self.url or "").path, errors="replace")
        name = PurePosixPath(path).name
        return name[:-4] if name.lower().endswith(".zip") and not self.huggingface else name

    def options(self) -> PrepareOptions:
        return PrepareOptions(**{name: getattr(self, name) for name in PrepareOptions.model_fields})

    def given_options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in PrepareOptions.model_fields if name in self.model_fields_set}
