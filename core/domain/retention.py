"""What of a project can be deleted to free room, and for how long a project keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

RETENTION = "retention"  # the name in a project's settings
KEEP_VERSIONS = 10
MAX_DAYS = 36_500


class FreeableKind(StrEnum):
    """In the order in which they are freed: what goes with a version first."""

    VERSIONS = "versions"
    SOURCES = "sources"
    CHECKPOINTS = "checkpoints"
    DATASET_EXPORTS = "dataset_exports"
    EXPORTS = "exports"
    BUNDLES = "bundles"
    EVALUATIONS = "evaluations"
    BATCH_PREDICTIONS = "batch_predictions"


@dataclass(frozen=True, slots=True)
class Meaning:
    """`reason`: why it can be deleted; `lost`: what is not possible afterwards. Sentences."""

    reason: str
    lost: str


MEANINGS: Mapping[FreeableKind, Meaning] = {
    FreeableKind.VERSIONS: Meaning(
        "No alias points at the version, newer ones are kept, and no work needs it.",
        "It answers 410, with its weights, exports, evaluations, bundle and batches of predictions. Its number stays.",
    ),
    FreeableKind.SOURCES: Meaning(
        "The dataset is prepared, or was rejected, and no dataset and no work needs the uploaded ZIP.",
        "The dataset cannot be repaired or extended, nor its upload downloaded. The prepared dataset stays.",
    ),
    FreeableKind.CHECKPOINTS: Meaning(
        "The run has ended.", "A failed run that is retried starts from its first epoch."
    ),
    FreeableKind.DATASET_EXPORTS: Meaning(
        "It is made again when it is next requested.", "Nothing but the time to make it."
    ),
    FreeableKind.EXPORTS: Meaning(
        "The certificate did not pass: nothing serves the file.",
        "The export and its certificate; it can be made again.",
    ),
    FreeableKind.BUNDLES: Meaning("It is made again when it is next downloaded.", "Nothing but the time to make it."),
    FreeableKind.EVALUATIONS: Meaning(
        "No alias points at the version, newer ones are kept, and the dataset is not the test set.",
        "Its report and its figures, also in the matrix.",
    ),
    FreeableKind.BATCH_PREDICTIONS: Meaning("The batch has ended.", "Its results cannot be downloaded."),
}

_FIELDS: Mapping[FreeableKind, str] = {
    FreeableKind.VERSIONS: "version_days",
    FreeableKind.SOURCES: "source_days",
    FreeableKind.CHECKPOINTS: "checkpoint_days",
    FreeableKind.DATASET_EXPORTS: "dataset_export_days",
    FreeableKind.EXPORTS: "export_days",
    FreeableKind.BUNDLES: "bundle_days",
    FreeableKind.EVALUATIONS: "evaluation_days",
    FreeableKind.BATCH_PREDICTIONS: "batch_prediction_days",
}


@dataclass(frozen=True, slots=True)
class Retention:
    """Days that a project keeps what can be deleted. None: as long as the installation, which keeps for ever what has
    no setting. The newest `keep_versions` versions stay in any case.
    """

    source_days: float | None = None
    checkpoint_days: float | None = None
    version_days: float | None = None
    dataset_export_days: float | None = None
    export_days: float | None = None
    bundle_days: float | None = None
    evaluation_days: float | None = None
    batch_prediction_days: float | None = None
    keep_versions: int = KEEP_VERSIONS

    def days(self, kind: FreeableKind) -> float | None:
        days: float | None = getattr(self, _FIELDS[kind])
        return days


def retention_of(settings: Mapping[str, Any]) -> Retention:
    """Of the settings of a project."""
    return Retention(**(settings.get(RETENTION) or {}))
