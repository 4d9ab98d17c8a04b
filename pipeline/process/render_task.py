"""What is rendered of an image, as the API asks for it: without Pillow, which the API does not load for this."""

from pydantic import BaseModel, ConfigDict


class RenderedBox(BaseModel):
    """In pixels of the upright image."""

    model_config = ConfigDict(frozen=True)

    label: str
    class_index: int
    x1: float
    y1: float
    x2: float
    y2: float


class RenderTask(BaseModel):
    """`size`: pixels of the longer side, at most; an image is never enlarged. `bytes`: of the image that follows."""

    model_config = ConfigDict(frozen=True)

    bytes: int
    width: int
    height: int
    size: int
    boxes: tuple[RenderedBox, ...] | None = None
