"""Workers, and what they compute on."""

from datetime import UTC, datetime

from pydantic import BaseModel, Field

from api.schemas import Timestamp
from api.schemas.jobs import timestamp
from core.db.tables import WorkerRow


class GpuItem(BaseModel):
    """A GPU that the driver of the machine names."""

    name: str = Field(examples=["NVIDIA H200"])
    memory_bytes: int = Field(description="All of it, also what is in use.", examples=[150754820096])


class EngineItem(BaseModel):
    """A library that trains or runs models there."""

    name: str = Field(description="`pytorch` trains, `onnxruntime` and `openvino` run exports.", examples=["openvino"])
    version: str = Field(examples=["2026.4.1"])
    devices: list[str] = Field(description="`cpu`, `cuda`, `tensorrt`: what it can use.", examples=[["cpu"]])
    precisions: list[str] = Field(
        description="Those that a training or an export may have there.", examples=[["fp32", "fp16", "bf16", "int8"]]
    )


class DevicesItem(BaseModel):
    """What a worker computes on."""

    processor: str = Field(description="As the system names it.", examples=["Intel(R) Xeon(R) Processor"])
    cores: int = Field(description="Those that the worker may use.", examples=[2])
    gpus: list[GpuItem]
    engines: list[EngineItem] = Field(description="Of workers of the roles `train` and `operations`.")


class WorkerItem(BaseModel):
    """A worker that was alive in the last minute."""

    name: str = Field(description="Its machine and its process.", examples=["node-3:4711"])
    role: str = Field(description="`prepare`, `train`, `operations` or `housekeeping`.", examples=["train"])
    seen_at: Timestamp
    devices: DevicesItem | None = Field(None, description="Null until it has found out, seconds after its start.")


def worker_item(row: WorkerRow) -> WorkerItem:
    return WorkerItem(
        name=row.name,
        role=row.role,
        seen_at=timestamp(datetime.fromtimestamp(row.seen_at, UTC)),
        devices=DevicesItem.model_validate(row.devices) if row.devices else None,
    )
