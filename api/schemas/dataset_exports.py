"""JSON of the exports of a dataset."""

from typing import Annotated, Literal

from fastapi import Query
from pydantic import BaseModel, Field

from api.schemas import SHA256, Links, Timestamp
from api.schemas.jobs import JOB_ID, timestamp
from api.schemas.links import link
from api.schemas.operations import OPERATION_ID
from core.db.tables import DatasetExportRow
from pipeline.params.dataset_exports import Arrange, Format

DATASET_EXPORT_ID = "dataexport_01kaj8x5c2d3e4f5g6h7j8k9m0"

FormatQuery = Annotated[
    Format,
    Query(
        alias="format",
        description="Boxes: `coco`, `voc`, `yolo`, `hf`. Classes: `folders`, `hf`. `hf`: Parquet files, as the Hugging "
        "Face hub has them.",
    ),
]
ArrangeQuery = Annotated[
    Arrange,
    Query(
        description="`yolo`, `folders`: `paths` keeps the images at their paths, and so the content fingerprint; "
        "`splits` puts them into a folder of each split. Other formats state the split in files, and keep the paths.",
    ),
]


class DatasetLoss(BaseModel):
    """What the format could not keep."""

    code: str = Field(examples=["difficult"])
    count: int = Field(description="Of boxes, images or classes.", examples=[3])
    detail: str = Field(
        examples=["The format has no flag for difficult objects: 3 of the boxes have it in the dataset."]
    )


class DatasetExport(BaseModel):
    """A dataset in a format that others read."""

    export_id: str = Field(examples=[DATASET_EXPORT_ID])
    job_id: str = Field(examples=[JOB_ID])
    operation_id: str = Field(description="What made it.", examples=[OPERATION_ID])
    fingerprint: str = Field(description="Of the dataset.", examples=[SHA256])
    format: Format
    arrange: Literal["paths", "splits"]
    losses: list[DatasetLoss]
    file_name: str = Field(description="What `download` calls it.", examples=["raccoons-d2-coco.zip"])
    bytes: int = Field(examples=[20_481_034])
    sha256: str = Field(examples=[SHA256])
    created_at: Timestamp
    links: Links


def dataset_export_of(row: DatasetExportRow, *, file_name: str) -> DatasetExport:
    arrange = row.options["arrange"]
    return DatasetExport(
        export_id=row.id,
        job_id=row.job_id,
        operation_id=row.operation_id,
        fingerprint=row.fingerprint,
        format=row.format,
        arrange=arrange,
        losses=row.losses,
        file_name=file_name,
        bytes=row.bytes,
        sha256=row.sha256,
        created_at=timestamp(row.created_at),
        links={
            "download": download_link(row.job_id, row.format, arrange),
            "job": link(f"/jobs/{row.job_id}"),
            "operation": link(f"/operations/{row.operation_id}"),
        },
    )


def download_link(job_id: str, name: str, arrange: str) -> str:
    return link(f"/dataset/export/{job_id}", format=name, arrange=arrange if arrange != "paths" else None)
