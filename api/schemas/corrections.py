"""JSON of corrections: what is sent, and what is listed."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.schemas import SHA256, Links, Timestamp
from api.schemas.jobs import JOB_ID, timestamp
from api.schemas.links import link
from core.db.tables import CorrectionRow
from core.domain.limits import MAX_BOXES_PER_IMAGE
from core.services.jobs.corrections import APPLIED, DRAFT, Saved

MOST = 1000  # corrections of one request
CORRECTION_ID = "correction_01kaj8x3v0q4f7m2n9r5t6w8y1"
MAX_PIXEL = 1_000_000  # beyond the side of any accepted image

Edge = Annotated[
    float, Field(ge=0, le=MAX_PIXEL, description="Pixels of the upright image, from its left or top edge.")
]
ClassName = Annotated[str, Field(min_length=1, max_length=200, examples=["raccoon"])]


class CorrectionBox(BaseModel):
    """A box as it is to be: its class and its edges."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    class_: ClassName = Field(alias="class")
    x1: Edge
    y1: Edge
    x2: Edge
    y2: Edge


class NewImageCorrection(BaseModel):
    """What is wrong with one image: exactly one of `boxes`, `label`, `remove` and `accept`."""

    model_config = ConfigDict(extra="forbid")

    image: str = Field(
        min_length=1, max_length=1000, examples=["raccoon-17.jpg"], description="Its `path` in `/dataset/images`."
    )
    boxes: list[CorrectionBox] | None = Field(
        None, max_length=MAX_BOXES_PER_IMAGE, description="All boxes that it is to have; none for background."
    )
    label: ClassName | None = Field(None, description="The class that it is to have, in classification.")
    remove: Literal[True] | None = Field(None, description="The image is to be taken out.")
    accept: Literal[True] | None = Field(None, description="It is right as it is, whatever a finding says.")
    note: str = Field("", max_length=2000)

    @model_validator(mode="after")
    def require_one_change(self) -> Self:
        if sum(value is not None for value in (self.boxes, self.label, self.remove, self.accept)) != 1:
            raise ValueError("give exactly one of boxes, label, remove and accept")
        return self

    def change(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"image", "note"})


class NewCorrections(BaseModel):
    """Corrections of images of one dataset; a later one of an image takes the place of an earlier draft."""

    model_config = ConfigDict(extra="forbid")

    corrections: list[NewImageCorrection] = Field(min_length=1, max_length=MOST)
    author: str = Field("", max_length=200, examples=["ada"], description="Who made them, for people.")
    new_classes: bool = Field(False, description="Accept names of classes that the dataset does not have.")


class AppliedCorrections(BaseModel):
    """How the next dataset is made; all fields are optional."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, max_length=200, description="Name of the job.")


class SavedCorrections(BaseModel):
    """What became of corrections."""

    job_id: str = Field(examples=[JOB_ID])
    saved: int = Field(description="Drafts that are new or changed.", examples=[3])
    unchanged: int = Field(description="Drafts that were the same before.", examples=[0])
    drafts: int = Field(description="All drafts of the dataset.", examples=[12])
    links: Links


class DiscardedCorrections(BaseModel):
    """Drafts that were discarded."""

    discarded: int = Field(examples=[12])


class Correction(BaseModel):
    """A correction of one image."""

    correction_id: str = Field(examples=[CORRECTION_ID])
    job_id: str = Field(examples=[JOB_ID])
    image: str = Field(examples=["raccoon-17.jpg"], description="Its `path` in `/dataset/images`.")
    image_sha256: str = Field(examples=[SHA256])
    boxes: list[CorrectionBox] | None = None
    label: str | None = None
    remove: bool | None = None
    accept: bool | None = None
    note: str
    author: str = Field(examples=["ada"])
    state: Literal["draft", "applied"]
    applied_to: str | None = Field(description="The job of the dataset that it became part of.", examples=[JOB_ID])
    created_at: Timestamp
    updated_at: Timestamp
    links: Links


def corrections_path(job_id: str) -> str:
    return f"/datasets/{job_id}/corrections"


def saved_corrections(saved: Saved) -> SavedCorrections:
    path = corrections_path(saved.job.id)
    return SavedCorrections(
        job_id=saved.job.id,
        saved=saved.saved,
        unchanged=saved.unchanged,
        drafts=saved.drafts,
        links={"corrections": path, "apply": f"{path}/apply", "job": f"/jobs/{saved.job.id}"},
    )


def correction_of(row: CorrectionRow) -> Correction:
    path = f"/dataset/images/{row.job_id}/{row.image_sha256}"
    links = {"image": path, "thumbnail": link(path, size=256, boxes="true"), "job": f"/jobs/{row.job_id}"}
    if row.applied_to:
        links["applied_to"] = f"/jobs/{row.applied_to}"
    return Correction.model_validate(
        {
            "correction_id": row.id,
            "job_id": row.job_id,
            "image": row.image,
            "image_sha256": row.image_sha256,
            **row.change,
            "note": row.note,
            "author": row.author,
            "state": APPLIED if row.applied_to else DRAFT,
            "applied_to": row.applied_to,
            "created_at": timestamp(row.created_at),
            "updated_at": timestamp(row.updated_at),
            "links": links,
        }
    )
