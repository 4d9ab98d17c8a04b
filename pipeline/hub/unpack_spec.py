"""What the process that unpacks tables is given, and how it ends; without the libraries that read them."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipeline.archive.byte_range import ByteRange

OK, NO_IMAGES, REFUSED, FULL = 0, 3, 4, 74


class TableFile(BaseModel):
    """`name`: below the folder of the README, else below the common folder. `entry`: in the archive."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    entry: str
    file: str
    at: int
    bytes: int

    @property
    def byte_range(self) -> ByteRange:
        return ByteRange(self.file, self.at, self.bytes)


class UnpackSpec(BaseModel):
    """`readme`, `class_order`: of the archive. `target`: the ZIP to write; `result`: why there is none, as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tables: list[TableFile]
    readme: TableFile | None
    class_order: TableFile | None
    target: Path
    result: Path
    max_bytes: int


class Refusal(BaseModel):
    """A finding that rejects the dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    path: str
    detail: str
    line: int | None = None
