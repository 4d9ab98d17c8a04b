"""A receipt, version 1: docs/receipts.md describes it. Both who writes and who replays one use these models."""

import hashlib
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from pipeline.dataset.predictions import PredictedBox, PredictedLabel
from pipeline.predictor.metadata import Output, Preprocessing
from pipeline.predictor.tile_options import MAX_OVERLAP, MAX_TILE, MIN_TILE

Sha256 = Field(pattern="^[0-9a-f]{64}$")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ReceiptModel(_Part):
    """The file that answered."""

    name: str = Field(examples=["raccoons/v3"])
    version_id: str
    export_id: str
    sha256: str = Sha256
    format: Literal["onnx", "openvino"]
    precision: Literal["fp32", "fp16", "bf16", "int8"] = Field(description="Of the file.")


class ReceiptOptions(_Part):
    """What the request asked for; null: that of the model."""

    confidence: float | None = Field(ge=0, le=1)
    iou: float | None = Field(ge=0, le=1)
    top: int = Field(ge=1)
    tile: int | None = Field(ge=MIN_TILE, le=MAX_TILE)
    overlap: float = Field(ge=0, le=MAX_OVERLAP)


class ReceiptThresholds(_Part):
    """What was used. `confidence`: of all classes, or of each in its order."""

    confidence: float | tuple[float, ...]
    iou: float


class ReceiptEngine(_Part):
    """`precision`: in which it computed."""

    name: str = Field(examples=["onnxruntime 1.32.0"])
    device: str = Field(examples=["cpu"])
    precision: str = Field(examples=["float32"])
    threads: int = Field(ge=1, le=256)


class ReceiptMachine(_Part):
    """What the last digit of a sum may depend on."""

    system: str = Field(examples=["Linux"])
    architecture: str = Field(examples=["x86_64"])
    processor_features: tuple[str, ...] = Field(examples=[("avx2", "fma", "avx512f")])


class ReceiptAnswer(_Part):
    """With every digit, and without times. `error`: why the image could not be predicted."""

    error: str | None = None
    width: int | None = None
    height: int | None = None
    orientation: int | None = None
    tiles: int = 0
    boxes: tuple[PredictedBox, ...] = ()
    labels: tuple[PredictedLabel, ...] = ()


class ReceiptImage(_Part):
    sha256: str = Sha256
    bytes: int
    answer: ReceiptAnswer


class Receipt(_Part):
    """`sha256`: of all the rest, see `digest`. It shows an accidental change, and is no signature."""

    schema_version: Literal[1] = 1
    darkroom: str = Field(description="The version of Darkroom.", examples=["0.1.0"])
    model: ReceiptModel
    preprocessing: Preprocessing
    output: Output = Field(description="What the model's output means, and its own thresholds.")
    options: ReceiptOptions
    thresholds: ReceiptThresholds
    engine: ReceiptEngine
    libraries: dict[str, str] = Field(examples=[{"numpy": "2.4.0", "pillow": "13.0.0"}])
    machine: ReceiptMachine
    images: tuple[ReceiptImage, ...]
    sha256: str = ""

    def digest(self) -> str:
        """The sha256 of the rest as JSON: fields in their order, no spaces, shortest numbers."""
        return hashlib.sha256(self.model_dump_json(exclude={"sha256"}).encode()).hexdigest()

    def sealed(self) -> Self:
        return self.model_copy(update={"sha256": self.digest()})
