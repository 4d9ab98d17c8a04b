"""What a machine can compute on, as `python -m pipeline devices` prints it and workers report it."""

from pydantic import BaseModel, ConfigDict


class _Reported(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Gpu(_Reported):
    """`memory_bytes`: all of it, also what is in use."""

    name: str
    memory_bytes: int


class ComputeEngine(_Reported):
    """`precisions`: those that a training or an export may have there (`fp32`, `fp16`, `bf16`, `int8`)."""

    name: str
    version: str
    devices: tuple[str, ...]
    precisions: tuple[str, ...]


class Devices(_Reported):
    """`processor`: empty where the system does not name it. `cores`: those that a process may use."""

    processor: str
    cores: int
    gpus: tuple[Gpu, ...] = ()
    engines: tuple[ComputeEngine, ...] = ()
