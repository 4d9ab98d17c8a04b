"""JSON of predictions and of the models in memory."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pipeline.predictor.tile_options import MAX_OVERLAP, MAX_TILE, MIN_TILE, OVERLAP
from pipeline.receipts.schema import Receipt

MODEL = "raccoons@production"
MAX_IMAGES = 32
TILE_TEXT = (
    "Of a detector: the image is predicted as a whole and in squares of so many of its pixels, for objects that are "
    "small in it. Each has an input of its own, and takes as long as an image."
)
OVERLAP_TEXT = "The share of its side that each tile has in common with the next one, at least."


class PredictionOptions(BaseModel):
    """What every request for predictions may choose."""

    confidence: float | None = Field(
        None, ge=0, le=1, description="By default the thresholds of the version, of each class."
    )
    iou: float | None = Field(None, ge=0, le=1, description="Above it the lower of two boxes of a class goes.")
    top: int = Field(5, ge=1, le=1000, description="How many classes of a classifier.")
    tile: int | None = Field(None, ge=MIN_TILE, le=MAX_TILE, description=TILE_TEXT)
    overlap: float = Field(OVERLAP, ge=0, le=MAX_OVERLAP, description=OVERLAP_TEXT)


class Box(BaseModel):
    """Corners in pixels of the upright image."""

    label: str = Field(description="Name of the class.", examples=["raccoon"])
    class_index: int = Field(examples=[0])
    score: float = Field(examples=[0.93])
    x1: float = Field(examples=[12.5])
    y1: float = Field(examples=[40.0])
    x2: float = Field(examples=[210.25])
    y2: float = Field(examples=[300.0])


class Label(BaseModel):
    label: str = Field(description="Name of the class.", examples=["pushup"])
    class_index: int = Field(examples=[0])
    score: float = Field(description="Its probability.", examples=[0.97])


class AnsweringModel(BaseModel):
    """What answered."""

    name: str = Field(examples=["raccoons/v3"])
    requested: str = Field(description="The name in the request.", examples=[MODEL])
    version_id: str
    export_id: str
    sha256: str = Field(description="Of the export's file.")
    format: str = Field(examples=["onnx"])
    engine: str = Field(examples=["onnxruntime 1.32.0"])
    precision: str = Field(description="In which the engine computed.", examples=["float32"])


class ImageAnswer(BaseModel):
    """One image: its boxes or classes, or why it could not be predicted."""

    error: str | None = Field(None, description="Why this image could not be predicted; the others are.")
    width: int | None = Field(None, description="Of the upright image, px.", examples=[640])
    height: int | None = Field(None, examples=[480])
    orientation: int | None = Field(None, description="The EXIF orientation that was undone.", examples=[1])
    boxes: list[Box] = Field(default_factory=list)
    labels: list[Label] = Field(default_factory=list)
    tiles: int = Field(0, description="In how many tiles it was predicted, besides as a whole.", examples=[0])
    milliseconds: dict[str, float] = Field(
        default_factory=dict,
        description="By stage: queued, decode, preprocess, inference, postprocess; before them `loading`, where the "
        "request waited until the model was in memory.",
        examples=[{"queued": 0.1, "decode": 0.6, "preprocess": 0.9, "inference": 6.1, "postprocess": 0.1}],
    )


class Answer(BaseModel):
    model: AnsweringModel
    images: list[ImageAnswer]
    receipt: Receipt | None = Field(None, description="With `receipt=true`: see docs/receipts.md.")


class ImageSource(BaseModel):
    """Base64, or a URL where the operator allows its host."""

    model_config = ConfigDict(extra="forbid")

    base64: str | None = None
    url: str | None = Field(None, max_length=4000)


class PredictRequest(PredictionOptions):
    model_config = ConfigDict(extra="forbid")

    model: str = Field(max_length=200, examples=[MODEL])
    images: list[ImageSource] = Field(min_length=1, max_length=MAX_IMAGES)
    receipt: bool = False


class ModelInMemory(BaseModel):
    name: str
    names: list[str] = Field(description="The names in requests that it answers for.")
    version_id: str
    export_id: str
    sha256: str
    engine: str
    precision: str
    bytes: int = Field(description="Estimated memory.")
    requests: int
    failed: int
    p50_ms: float | None
    p95_ms: float | None
    load_seconds: float
    choice: dict[str, Any] = Field(description="Milliseconds an image of each engine that was tried, and the notes.")


class NameInUse(BaseModel):
    """A name that requests used lately."""

    name: str = Field(examples=[MODEL])
    version: str = Field(description="What answers for it.", examples=["raccoons/v3"])
    problem: str = Field(description="Why that is not the version that the name means now; empty where it is.")


class ModelsInMemory(BaseModel):
    items: list[ModelInMemory]
    names: list[NameInUse]
    bytes: int
    max_bytes: int
