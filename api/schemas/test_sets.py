"""JSON of frozen test sets."""

from pydantic import BaseModel, ConfigDict, Field

from api.schemas import SHA256, Links, Timestamp
from api.schemas.jobs import JOB_ID, Project, timestamp
from api.schemas.links import link
from core.domain.model_names import dataset_name
from core.services.models.test_sets import FrozenSet


class NewTestSet(BaseModel):
    """The dataset whose test split is frozen."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"job_id": JOB_ID}]})

    job_id: str = Field(max_length=80, description="A ready dataset of the project: its `job_id`, or `raccoons/d2`.")


class FrozenTestSet(BaseModel):
    """The test split of a dataset, frozen for the project: versions are compared on it, and new datasets of the project
    leave its images out."""

    project: Project
    generation: int = Field(description="1, 2, ...: each freeze of another dataset is a generation.", examples=[1])
    job_id: str = Field(examples=[JOB_ID])
    dataset: str = Field(examples=["raccoons/d2"])
    fingerprint: str = Field(description="Of the dataset.", examples=[SHA256])
    images: int = Field(examples=[20])
    sha256: str = Field(description="Of the list of its images, at `links.list`.", examples=[SHA256])
    created_at: Timestamp
    removed_at: Timestamp | None = Field(description="When the freeze ended; null while it holds.")
    links: Links


def frozen_set_of(found: FrozenSet) -> FrozenTestSet:
    row = found.row
    path = f"/projects/{found.slug}/test-set"
    return FrozenTestSet(
        project=found.slug,
        generation=row.generation,
        job_id=row.job_id,
        dataset=dataset_name(found.slug, found.revision),
        fingerprint=row.fingerprint,
        images=row.images,
        sha256=row.sha256,
        created_at=timestamp(row.created_at),
        removed_at=None if row.removed_at is None else timestamp(row.removed_at),
        links={
            "self": link(path),
            "list": link(f"{path}/{row.generation}/images"),
            "job": link(f"/jobs/{row.job_id}"),
            "project": link(f"/projects/{found.slug}"),
        },
    )
