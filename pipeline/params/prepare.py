"""Options of preparing a dataset: one schema for the API, the command line and the child process."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

# Names of scikit-learn and others; accepted, and stored under the names of the fields.
SYNONYMS: Mapping[str, str] = {"validation_size": "val_fraction", "test_size": "test_fraction"}


Background = Literal["auto", "unlabelled"]
Split = Literal["keep", "remake", "sequence"]


class PrepareOptions(BaseModel):
    """Fractions are of the whole dataset, 0 to 1; together they must leave at least 0.1 to train on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    val_fraction: float = Field(0.2, ge=0.0, lt=1.0, description="Fraction of the images for validation.")
    test_fraction: float = Field(0.1, ge=0.0, lt=1.0, description="Fraction of the images kept for the final test.")
    seed: int = Field(0, ge=0, le=2**32 - 1, description="Seed of the split.")
    on_error: Literal["reject", "skip"] = Field(
        "reject", description="Reject a dataset with errors, or skip items with errors if 90 % of the images remain."
    )
    split: Split = Field(
        "keep",
        description="Keep the split that the archive gives; remake: make a new one, with near-duplicates together; "
        "sequence: by the order of names, for images of one fixed camera.",
    )
    background: Background = Field(
        "auto",
        description="Images without a label are background: only where every annotation was used and they lie among "
        "more labelled images (auto), or always (unlabelled).",
    )

    @model_validator(mode="before")
    @classmethod
    def resolve_synonyms(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        known = dict(given)
        for synonym, name in SYNONYMS.items():
            if synonym not in known:
                continue
            if name in known:
                raise ValueError(f"{synonym} is another name for {name}: give only one of them")
            known[name] = known.pop(synonym)
            if _is_zero(known[name]):  # `test_fraction=0` means no test split; a size of 0 is a mistake
                raise ValueError(f"{synonym} must be strictly between 0 and 1")
        return known

    @model_validator(mode="after")
    def require_images_to_train_on(self) -> "PrepareOptions":
        if self.val_fraction <= 0:
            raise ValueError("val_fraction must be above 0: a model is chosen on the validation split")
        if self.val_fraction + self.test_fraction > 0.9:
            raise ValueError("val_fraction and test_fraction together must leave at least 0.1 to train on")
        return self


def _is_zero(value: Any) -> bool:
    try:
        return float(value) == 0
    except (TypeError, ValueError):  # the validation of the field reports it
        return False
