"""How an upload is prepared. One schema for the API, the command line and the child process."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class PrepareOptions(BaseModel):
    """Fractions are of the whole set, 0 to 1; together they leave something to train on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    val_fraction: float = Field(0.2, ge=0.0, lt=1.0, description="Part of the images for validation.")
    test_fraction: float = Field(0.1, ge=0.0, lt=1.0, description="Part of the images kept untouched for the test.")
    seed: int = Field(0, ge=0, le=2**32 - 1, description="Seed of the split.")
    on_error: Literal["reject", "skip"] = Field(
        "reject", description="Reject a set with errors, or skip the broken items if 90 % of the images remain."
    )
    split: Literal["keep", "remake"] = Field(
        "keep", description="Keep a split that the archive gives, or make our own."
    )

    @model_validator(mode="after")
    def leave_something_to_train_on(self) -> "PrepareOptions":
        if self.val_fraction <= 0:
            raise ValueError("val_fraction must be above 0: a model is chosen on the validation split")
        if self.val_fraction + self.test_fraction > 0.9:
            raise ValueError("val_fraction and test_fraction together must leave at least 0.1 to train on")
        return self
