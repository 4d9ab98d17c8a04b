"""Findings by code, each place with the image that it is about."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from api.pages.pictures import BOXES_DRAWN, Picture, marked, other_image, paths_of, picture_of
from core.db.tables import FindingRow, JobRow
from core.domain.finding_codes import FINDING_CODES
from pipeline.index.read import read_named

PREVIEWED = 6  # places of a code among others
_ORDER = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class FindingGroup:
    """`meaning`, `remedy` and `repaired`, what a repair does, are of the catalogue; empty for a code that it lacks."""

    code: str
    severity: str
    count: int
    meaning: str
    remedy: str
    repaired: str


@dataclass(frozen=True, slots=True)
class FindingPlace:
    """`other`: the image that it is compared with."""

    finding: FindingRow
    picture: Picture | None
    other: Picture | None


def found_groups(job: JobRow, *, severity: str | None = None, code: str | None = None) -> list[FindingGroup]:
    """The most severe first, then the most frequent."""
    groups = []
    for name, entry in (job.findings or {}).items():
        known = FINDING_CODES.get(name)
        groups.append(
            FindingGroup(
                code=name,
                severity=entry["severity"],
                count=entry["count"],
                meaning=known.meaning if known else "",
                remedy=known.remedy if known else "",
                repaired=known.repaired if known else "",
            )
        )
    wanted = (group for group in groups if severity in (None, group.severity) and code in (None, group.code))
    return sorted(wanted, key=lambda group: (_ORDER.index(group.severity), -group.count, group.code))


def places_of(
    findings: Mapping[str, Sequence[FindingRow]], job: JobRow, index_path: Callable[[], Path | None]
) -> dict[str, list[FindingPlace]]:
    """By code. `index_path` is called where a finding names an image."""
    every = [finding for rows in findings.values() for finding in rows]
    pictures = _pictures(every, job, index_path)
    return {code: [_place(finding, pictures) for finding in rows] for code, rows in findings.items()}


def _place(finding: FindingRow, pictures: Mapping[str, Picture]) -> FindingPlace:
    picture = pictures.get(finding.image or "")
    other = pictures.get(other_image(finding) or "")
    return FindingPlace(finding, marked(picture, finding) if picture else None, other)


def _pictures(findings: Sequence[FindingRow], job: JobRow, index_path: Callable[[], Path | None]) -> dict[str, Picture]:
    paths = paths_of(findings)
    file = index_path() if paths else None
    if file is None:
        return {}
    named = read_named(file, paths, boxes=BOXES_DRAWN)
    return {path: picture_of(job, image) for path, image in named.items()}
