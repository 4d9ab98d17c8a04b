"""Findings by code, each place with the image that it is about."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from api.pages.drawn_images import BOXES_DRAWN, DrawnImage, drawn_image, marked, other_image, paths_of
from core.db.tables import FindingRow, JobRow
from core.domain.finding_codes import FINDING_CODES, title_of
from pipeline.index.read import read_named

PREVIEWED = 6  # places of a code among others
_ORDER = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class FindingGroup:
    """`meaning`, `remedy` and `repaired`, what a repair does, are of the catalogue; empty for a code that it lacks."""

    code: str
    title: str
    severity: str
    count: int
    meaning: str
    remedy: str
    repaired: str


@dataclass(frozen=True, slots=True)
class FindingPlace:
    """`other`: the image that it is compared with."""

    finding: FindingRow
    drawn: DrawnImage | None
    other: DrawnImage | None


def found_groups(job: JobRow, *, severity: str | None = None, code: str | None = None) -> list[FindingGroup]:
    """The most severe first, then the most frequent."""
    groups = []
    for name, entry in (job.findings or {}).items():
        known = FINDING_CODES.get(name)
        groups.append(
            FindingGroup(
                code=name,
                title=title_of(name),
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
    images = _images(every, job, index_path)
    return {code: [_place(finding, images) for finding in rows] for code, rows in findings.items()}


def _place(finding: FindingRow, images: Mapping[str, DrawnImage]) -> FindingPlace:
    drawn = images.get(finding.image or "")
    other = images.get(other_image(finding) or "")
    return FindingPlace(finding, marked(drawn, finding) if drawn else None, other)


def _images(
    findings: Sequence[FindingRow], job: JobRow, index_path: Callable[[], Path | None]
) -> dict[str, DrawnImage]:
    paths = paths_of(findings)
    file = index_path() if paths else None
    if file is None:
        return {}
    named = read_named(file, paths, boxes=BOXES_DRAWN)
    return {path: drawn_image(job, image) for path, image in named.items()}
