"""JSON of the ZIP of a job: where it came from, what it was made of."""

from typing import Any

from pydantic import BaseModel, Field

from api.schemas import SHA256
from core.db.tables import JobRow
from pipeline.params.import_origin import ImportKind, ImportOrigin


class ImportedFrom(BaseModel):
    """The dataset on a hub that the ZIP was created from."""

    repository: str = Field(examples=["Bingsu/Human_Action_Recognition"])
    revision: str | None = Field(None, description="The revision of the request.", examples=["main"])
    commit: str | None = Field(None, description="The commit of the revision; null until the worker has resolved it.")
    subset: str | None = None
    splits: list[str] = Field(examples=[["train"]])
    images: int | None = Field(None, examples=[12600])
    left_out: int | None = Field(
        None, description="Number of rows left out because they have no image or no label.", examples=[0]
    )


class ImportedFromPlace(BaseModel):
    """Where the ZIP was taken from, besides an upload and a hub. What its worker finds out is null until then."""

    kind: ImportKind
    location: str = Field(
        description="A URL without its query, `s3://bucket/prefix`, a path, the id of another dataset, or the name of "
        "a sample.",
        examples=["s3://datasets/raccoons"],
    )
    sha256: str | None = Field(None, description="Of a ZIP that was imported as it is.", examples=[SHA256])
    etag: str | None = Field(None, description="Of that ZIP, as the server names its version.")
    files: int | None = Field(None, description="Number of files that were read.", examples=[400])
    bytes: int | None = Field(None, description="Their size.", examples=[41234567])


class ExtensionInput(BaseModel):
    """What a dataset was extended by."""

    name: str = Field(examples=["more.zip"])
    bytes: int = Field(examples=[1234567])
    sha256: str = Field(examples=[SHA256])


class DatasetExtension(BaseModel):
    """How a dataset was made of the one that it extends."""

    additions: ExtensionInput | None = Field(None, description="The ZIP that was added.")
    changes: ExtensionInput | None = Field(None, description="The corrections that were applied.")


class JobSource(BaseModel):
    """The source ZIP of the job: uploaded, or created by a worker for an import (0 bytes until then) or a repair."""

    name: str = Field(examples=["raccoon.zip"])
    bytes: int = Field(examples=[41234567])
    sha256: str = Field(examples=[SHA256])
    huggingface: ImportedFrom | None = Field(None, description="Only for an import from a hub.")
    imported_from: ImportedFromPlace | None = Field(
        None, description="Only for an import from a URL, a bucket, a folder or another dataset, and for a sample."
    )
    extension: DatasetExtension | None = Field(
        None, description="Only for an extension, whose ZIP a worker creates of the dataset that it extends."
    )


def source_of(row: JobRow) -> JobSource:
    return JobSource(
        name=row.source_name,
        bytes=row.source_bytes,
        sha256=row.source_sha256,
        huggingface=ImportedFrom.model_validate(row.huggingface) if row.huggingface else None,
        imported_from=_place(row.imported_from) if row.imported_from else None,
        extension=DatasetExtension.model_validate(row.extension) if row.extension else None,
    )


def _place(origin: dict[str, Any]) -> ImportedFromPlace:
    return ImportedFromPlace.model_validate(ImportOrigin.model_validate(origin).displayed())
