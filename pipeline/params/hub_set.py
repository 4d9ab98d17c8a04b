"""A dataset on a Hugging Face hub, as it is asked for. One schema for the API, the command line and the child process."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

REPOSITORY = r"^(?:[A-Za-z0-9][A-Za-z0-9._-]{0,95}/)?[A-Za-z0-9][A-Za-z0-9._-]{0,95}$"
REVISION = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$"
SUBSET = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
# What the hub calls a split -> the folder of our ZIP that says the same.
FOLDERS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


class MeantColumns(BaseModel):
    """Which columns of its tables are meant, where more than one could be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_column: str | None = Field(
        None, max_length=200, description="Column of the images; needed where there are several."
    )
    label_column: str | None = Field(
        None, max_length=200, description="Column of the labels; needed where there are several.", examples=["labels"]
    )


class HubSet(MeantColumns):
    """`commit` is what the revision was when it was first asked; every attempt keeps to it."""

    repository: str = Field(pattern=REPOSITORY)
    revision: str | None = Field(None, pattern=REVISION)
    subset: str | None = Field(None, pattern=SUBSET)
    splits: tuple[str, ...] = ("train",)
    commit: str | None = None
    images: int | None = None
    left_out: int | None = None

    @field_validator("splits")
    @classmethod
    def splits_that_can_be_told_apart(cls, splits: tuple[str, ...]) -> tuple[str, ...]:
        return checked_splits(splits)


def checked_splits(splits: tuple[str, ...]) -> tuple[str, ...]:
    """Raises ValueError for what names no split, and for several that are not train, validation and test."""
    if len(splits) > 1 and not set(splits) <= set(FOLDERS):
        raise ValueError(f"of several splits each is one of {', '.join(FOLDERS)}")
    if len({FOLDERS.get(split, split) for split in splits}) < len(splits):
        raise ValueError("one of the splits is named twice")
    return splits
