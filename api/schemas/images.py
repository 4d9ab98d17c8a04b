"""Images of a prepared set, as they are listed."""

from collections.abc import Sequence

from pydantic import BaseModel, Field

from api.schemas import Links
from api.schemas.links import link
from pipeline.dataset.model import Box
from pipeline.index.schema import IndexedImage

BOXES_LISTED = 300  # of one image: as many as are drawn on it
THUMBNAIL_SIZE = 256


class ImageBox(BaseModel):
    """A box. `x` and `y` are its left and its top edge."""

    class_: str = Field(alias="class", examples=["raccoon"], description="Its class.")
    x: float = Field(examples=[81.0], description="Pixels of the upright image from its left edge, which is 0.")
    y: float = Field(examples=[88.0], description="Pixels of the upright image from its top edge, which is 0.")
    width: float = Field(examples=[441.0])
    height: float = Field(examples=[320.0])
    difficult: bool = False


class ListedImage(BaseModel):
    """An image of a prepared set."""

    path: str = Field(examples=["raccoon-17.jpg"], description="In the upload, below the folder that holds all images.")
    name: str = Field(
        examples=["images/train/raccoon-17.jpg"],
        description="File in the prepared set that it is, or that it is a row of.",
    )
    row: int | None = Field(None, description="Number of the row in an Arrow file, from 0.")
    sha256: str = Field(description="Of the file in the upload. Identical images have the same.")
    split: str = Field(examples=["train"])
    width: int = Field(examples=[640], description="Of the upright image, in pixels.")
    height: int = Field(examples=[480])
    bytes: int = Field(description="Of the file in the prepared set.")
    brightness: float = Field(examples=[0.47], description="Mean luma, 0 (black) to 1 (white).")
    blur: float = Field(
        examples=[0.04],
        description="0 (sharp) to 1 (no edge): 1 / (1 + v / 100), v the variance of the Laplacian at about 1/8 size.",
    )
    label: str | None = Field(None, description="The class of the whole image, in classification.")
    box_count: int = Field(examples=[1])
    boxes: list[ImageBox] = Field(description=f"In detection, the first {BOXES_LISTED}.")
    findings: list[str] = Field(examples=[["box-tiny"]], description="Codes of the job's findings about it.")
    links: Links


def listed_image(job_id: str, classes: Sequence[str], image: IndexedImage, codes: Sequence[str]) -> ListedImage:
    path = f"/dataset/images/{job_id}/{image.sha256}"
    return ListedImage(
        path=image.path,
        name=image.name,
        row=image.row,
        sha256=image.sha256,
        split=image.split,
        width=image.width,
        height=image.height,
        bytes=image.bytes,
        brightness=image.brightness,
        blur=image.blur,
        label=None if image.label is None else classes[image.label],
        box_count=image.box_count,
        boxes=[image_box(classes, box) for box in image.boxes],
        findings=list(codes),
        links={
            "image": path,
            "thumbnail": link(path, size=THUMBNAIL_SIZE),
            "corrections": link(f"/datasets/{job_id}/corrections", image=image.path),
        },
    )


def image_box(classes: Sequence[str], box: Box) -> ImageBox:
    corner = {"x": box.x1 / 1000, "y": box.y1 / 1000}
    size = {"width": (box.x2 - box.x1) / 1000, "height": (box.y2 - box.y1) / 1000}
    return ImageBox(**{"class": classes[box.class_id]}, **corner, **size, difficult=box.difficult)
