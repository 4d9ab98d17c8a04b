"""A finding: one thing that is wrong or odd in a dataset, said so that its owner can mend it."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    ERROR = "error"  # the item cannot be used: rejects the dataset, or is left out with on_error=skip
    WARNING = "warning"  # used, perhaps mended; worth a look
    NOTE = "note"  # a fact that explains a number


@dataclass(frozen=True, slots=True)
class Finding:
    """`code` is stable kebab-case; `path` is the entry's name in the archive; `line` is 1-based or None."""

    code: str
    severity: Severity
    path: str
    detail: str
    remedy: str
    line: int | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def count_findings(findings: list[Finding]) -> dict[str, dict[str, Any]]:
    """Code -> {severity, count}, sorted by code."""
    counts: dict[str, dict[str, Any]] = {}
    for finding in findings:
        entry = counts.setdefault(finding.code, {"severity": str(finding.severity), "count": 0})
        entry["count"] += 1
    return dict(sorted(counts.items()))
