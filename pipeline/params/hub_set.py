"""A requested dataset of a Hugging Face hub: one schema for the API, the command line and the child process."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

REPOSITORY = r"^(?:[A-Za-z0-9][A-Za-z0-9._-]{0,95}/)?[A-Za-z0-9][A-Za-z0-9._-]{0,95}$"
REVISION = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$"
SUBSET = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
# Name of a split on the hub -> its folder in the imported ZIP.
SPLIT_FOLDERS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


class RequestedColumns(BaseModel):
    """The columns of the tables to read, needed where several are possible."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_column: str | None = Field(
        None, max_length=200, description="Column of the images; required if there are several."
    )
    label_column: str | None = Field(
        None, max_length=200, description="Column of the labels; required if there are several.", examples=["labels"]
    )


class HubSet(RequestedColumns):
    """`commit`: what the revision was at the first request; every attempt uses it."""

    repository: str = Field(pattern=REPOSITORY)
    revision: str | None = Field(None, pattern=REVISION)
    subset: str | None = Field(None, pattern=SUBSET)
    splits: tuple[str, ...] = ("train",)
    commit: str | None = None
    images: int | None = None
    left_out: int | None = None

    @field_validator("splits")
    @classmethod
    def require_distinct_splits(cls, splits: tuple[str, ...]) -> tuple[str, ...]:
        return checked_splits(splits)


def checked_splits(splits: tuple[str, ...]) -> tuple[str, ...]:
    """Raises ValueError for a repeated split, and for several that are not all named like train, validation or test."""
    if len(splits) > 1 and not set(splits) <= set(SPLIT_FOLDERS):
        raise ValueError(f"of several splits each must be one of {', '.join(SPLIT_FOLDERS)}")
    if len({SPLIT_FOLDERS.get(split, split) for split in splits}) < len(splits):
        raise ValueError("one of the splits is named twice")
    return splits
