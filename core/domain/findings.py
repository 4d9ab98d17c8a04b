"""A finding: one thing that is wrong or unusual in a dataset, described so that its owner can correct it."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from core.domain.finding_codes import FINDING_CODES, Severity

# Control characters could rewrite a terminal, PostgreSQL refuses NUL, and a lone surrogate is no UTF-8.
_NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

__all__ = ["Finding", "Severity", "count_findings"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`code` is stable kebab-case; `path` is the entry's name in the archive; `line` is 1-based or None.

    Built by `Finding.of`, so that severity and remedy are those of the catalogue.
    """

    code: str
    severity: Severity
    path: str
    detail: str
    remedy: str
    line: int | None = None

    @classmethod
    def of(cls, code: str, path: str, detail: str, *, line: int | None = None) -> "Finding":
        """Escapes what is no text in `detail`. Raises KeyError for a code that is not in the catalogue."""
        entry = FINDING_CODES[code]
        detail = _NO_TEXT.sub(lambda found: found[0].encode("unicode_escape").decode(), detail)
        return cls(code, entry.severity, path, detail, entry.remedy, line)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Finding":
        """What `as_dict` returned, as it was then: the catalogue may have changed since."""
        return cls(**{**stored, "severity": Severity(stored["severity"])})

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def count_findings(findings: list[Finding]) -> dict[str, dict[str, Any]]:
    """Code -> {severity, count}, sorted by code."""
    counts: dict[str, dict[str, Any]] = {}
    for finding in findings:
        entry = counts.setdefault(finding.code, {"severity": str(finding.severity), "count": 0})
        entry["count"] += 1
    return dict(sorted(counts.items()))
