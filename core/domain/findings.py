"""A finding: one thing that is wrong or unusual in a dataset, described so that its owner can correct it."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from core.domain.finding_codes import FINDING_CODES, Severity
from core.domain.limits import MAX_FINDINGS_OF_CODE

# Control characters could rewrite a terminal, PostgreSQL refuses NUL, and a lone surrogate is no UTF-8.
_NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

_REST = "More findings of this kind follow, here or elsewhere; they are counted and not listed."

__all__ = ["Finding", "FindingList", "Severity", "count_findings"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`code` is stable kebab-case; `path` is the entry's name in the archive; `line` is 1-based or None.

    `count`: how many it stands for; more than 1 only for the last of a code in a FindingList.
    Built by `Finding.of`, so that severity and remedy are those of the catalogue.
    """

    code: str
    severity: Severity
    path: str
    detail: str
    remedy: str
    line: int | None = None
    count: int = 1

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
        """`count` is among them only where it is more than 1."""
        return {name: value for name, value in asdict(self).items() if name != "count" or value > 1}


class FindingList(list[Finding]):
    """Findings as they are found: of each code the first `most` are kept; one more stands for all the rest.

    `shared`: counts those kept in several lists, of which MAX_FINDINGS_OF_CODE of each code are kept in all.
    """

    def __init__(
        self,
        findings: Iterable[Finding] = (),
        *,
        most: int = MAX_FINDINGS_OF_CODE,
        shared: Counter[str] | None = None,
    ) -> None:
        super().__init__()
        self._most = most
        self._kept: Counter[str] = Counter()
        self._shared = self._kept if shared is None else shared
        self._rest: dict[str, Finding] = {}  # code -> the one that stands for the rest
        self.extend(findings)

    def add(self, code: str, path: str, detail: str, line: int | None = None) -> None:
        """As `append(Finding.of(...))`; beyond the limit it costs a tenth of that."""
        rest = self._rest.get(code)
        if rest is None:
            self.append(Finding.of(code, path, detail, line=line))
        else:
            _count_more(rest, 1)

    def append(self, finding: Finding) -> None:
        code = finding.code
        if (rest := self._rest.get(code)) is not None:
            _count_more(rest, finding.count)
        elif self._kept[code] < self._most and self._shared[code] < MAX_FINDINGS_OF_CODE:
            self._kept[code] += 1
            if self._shared is not self._kept:
                self._shared[code] += 1
            super().append(finding)
        else:
            self._rest[code] = replace(finding, detail=_REST)
            super().append(self._rest[code])

    def extend(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self.append(finding)

    def __iadd__(self, findings: Iterable[Finding]) -> Self:  # type: ignore[override,misc] # list's own takes any values
        self.extend(findings)
        return self


def _count_more(rest: Finding, count: int) -> None:
    """In place, since there may be millions: `rest` belongs to the list that is being filled."""
    object.__setattr__(rest, "count", rest.count + count)


def count_findings(findings: list[Finding]) -> dict[str, dict[str, Any]]:
    """Code -> {severity, count}, sorted by code."""
    counts: dict[str, dict[str, Any]] = {}
    for finding in findings:
        entry = counts.setdefault(finding.code, {"severity": str(finding.severity), "count": 0})
        entry["count"] += finding.count
    return dict(sorted(counts.items()))
