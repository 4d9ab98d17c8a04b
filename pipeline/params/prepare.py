"""How an upload is prepared. One schema for the API, the command line and the child process."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

# What scikit-learn and the like call them: taken from people, and kept under our names.
SYNONYMS: Mapping[str, str] = {"validation_size": "val_fraction", "test_size": "test_fraction"}


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

    @model_validator(mode="before")
    @classmethod
    def know_the_synonyms(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        known = dict(given)
        for synonym, name in SYNONYMS.items():
            if synonym not in known:
                continue
            if name in known:
                raise ValueError(f"{synonym} is another name for {name}: give one of them")
            known[name] = known.pop(synonym)
            if _is_zero(
                known[name]
            ):  # whoever says `test_size` means a part; `test_fraction=0` says that there is none
                raise ValueError(f"{synonym} must be strictly between 0 and 1")
        return known

    @model_validator(mode="after")
    def leave_something_to_train_on(self) -> "PrepareOptions":
        if self.val_fraction <= 0:
            raise ValueError("val_fraction must be above 0: a model is chosen on the validation split")
        if self.val_fraction + self.test_fraction > 0.9:
            raise ValueError("val_fraction and test_fraction together must leave at least 0.1 to train on")
        return self


def _is_zero(value: Any) -> bool:
    try:
        return float(value) == 0
    except (TypeError, ValueError):  # the field itself says what is wrong
        return False
