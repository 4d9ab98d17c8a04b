"""Images of an evaluation with what the model answered, for the pages that list them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from fastapi import Request
from markupsafe import Markup, escape

from api.images.answers import answers_file
from core.db.tables import EvaluationRow
from core.domain.errors import ArtifactNotFound
from core.services.context import Platform
from core.services.jobs.images import refuse_without_index
from core.services.views import prepared_set_of
from pipeline.evaluation.read_answers import AnswersPage
from pipeline.index.read import find_paths

_MOST_DRAWN = 120  # boxes of an image: more hide it
_CROWDED = 10  # boxes: of more, right ones have no names, and names are smaller
_LABEL_LENGTH = 18
_SIGNS = {"right": "✓", "false": "✗", "missed": "–"}


@dataclass(frozen=True, slots=True)
class TileBox:
    """In pixels of the upright image. `outcome`: `right`, `false`, `missed`, or `met` of a true box that is found.
    `score` is None of a true box; `partner`: the number of the true box that it matches, or its own; -1 for none."""

    outcome: str
    label: str
    index: int
    score: float | None
    partner: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class AnswerTile:
    """`content`: as `write_answers` has it. Without a `sha256` the image is in no index."""

    path: str
    sha256: str
    width: int
    height: int
    boxes: Sequence[TileBox]
    content: Mapping[str, Any]
    why: str
    href: str

    def count(self, outcome: str, *, least: float | None = None) -> int:
        """Of the boxes that are drawn with this outcome."""
        return sum(box.outcome == outcome and not _is_up_to(box.score, least) for box in self.boxes)

    def drawn(self, *, least: float | None = None, about: Collection[int] | None = None) -> Markup:
        """The boxes as elements of an SVG whose units are pixels of the image.

        `least`: boxes up to this score are hidden until a script shows them. `about`: boxes of other classes are faint.
        """
        crowded = len(self.boxes) > _CROWDED
        size = (0.14 if crowded else 0.19) * max(self.width / 4, self.height / 3)  # of the text, as a tile draws it
        names_right = not crowded or about is not None
        parts = []
        for box in self.boxes:
            faint = about is not None and box.index not in about
            named = not faint and box.outcome != "met" and (names_right or box.outcome != "right")
            text = _text(box, size, self.height) if named else ""
            parts.append(_group(box, text, hidden=_is_up_to(box.score, least), faint=faint))
        return Markup("".join(parts))  # noqa: S704 - of numbers, and of labels that are escaped


class Answers:
    """One evaluation, image by image. `None` from `answers_of` where it was made before its results were kept."""

    def __init__(self, platform: Platform, request: Request, evaluation: EvaluationRow, labels: Sequence[str]) -> None:
        self._platform, self._request, self._evaluation = platform, request, evaluation
        self._labels = labels

    def tiles(self, page: AnswersPage, *, least: float | Sequence[float], all_boxes: bool = False) -> list[AnswerTile]:
        """`least`: the threshold of all classes, or of each. `all_boxes`: also those below it, for a slider.

        Raises ImageIndexMissing, Gone.
        """
        job, dataset = prepared_set_of(self._platform.db, self._evaluation.job_id)
        if dataset.index_key is None:
            refuse_without_index(self._platform, job, dataset)
        index = self._request.app.state.image_indexes.path_of(dataset)
        sizes = find_paths(index, [image["path"] for image in page.images])
        tiles = []
        for image in page.images:
            size = sizes.get(image["path"])
            boxes = [*_boxes(image, self._labels, least, all_boxes=all_boxes)] if "found" in image else []
            tiles.append(
                AnswerTile(
                    path=image["path"],
                    sha256=size.sha256 if size else "",
                    width=size.width if size else 4,
                    height=size.height if size else 3,
                    boxes=boxes,
                    content=image,
                    why=_why(image, self._labels),
                    href=f"/ui/datasets/{job.id}/images?image={quote(image['path'], safe='')}",
                )
            )
        return tiles


def _is_up_to(score: float | None, least: float | None) -> bool:
    return score is not None and least is not None and score <= least


def _group(box: TileBox, text: str, *, hidden: bool, faint: bool) -> str:
    place = f'x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" vector-effect="non-scaling-stroke"/>'
    score = "" if box.score is None else f' data-score="{box.score}"'
    about = f'data-partner="{box.partner}" data-class="{box.index}"{score}'
    visible = ' visibility="hidden"' if hidden else ""
    rectangles = f'<rect class="under" {place}<rect class="line" {place}'
    return f'<g class="box {box.outcome}{" faint" if faint else ""}" {about}{visible}>{rectangles}{text}</g>'


def _text(box: TileBox, size: float, height: float) -> str:
    """Above a predicted box, below a true one; within the image."""
    is_true = box.score is None
    y = min(box.y + box.height + size, height - size / 4) if is_true else max(box.y - size / 4, size)
    label = box.label if len(box.label) <= _LABEL_LENGTH else f"{box.label[: _LABEL_LENGTH - 1]}…"
    words = f"{_SIGNS[box.outcome]} {label}" + ("" if is_true else f" {box.score:.2f}")
    drawn = f'font-size="{size:.1f}" stroke-width="{size / 4:.1f}"'
    return f'<text x="{box.x + size / 4:.1f}" y="{y:.1f}" {drawn}>{escape(words)}</text>'


def answers_path(request: Request, platform: Platform, evaluation: EvaluationRow) -> Any:
    """The file of `pipeline.evaluation.read_answers`; None where the evaluation is older than such files.

    Raises OutOfSpace, Unavailable.
    """
    try:
        return answers_file(platform, request.app.state.image_indexes, evaluation)
    except ArtifactNotFound:
        return None


def _boxes(
    image: Mapping[str, Any], labels: Sequence[str], least: float | Sequence[float], *, all_boxes: bool
) -> Iterator[TileBox]:
    """True boxes first, so that predicted ones are drawn above them."""
    bounds = [least] * len(labels) if isinstance(least, float) else [*least, 0.0]
    listed = [row for row in image["found"] if all_boxes or row[1] > bounds[row[0]]]
    met = {row[6] for row in listed if row[6] >= 0 and row[1] > bounds[row[0]]}
    for number, (index, x1, y1, x2, y2) in enumerate(image["truth"][:_MOST_DRAWN]):
        outcome = "met" if number in met else "missed"
        yield TileBox(outcome, labels[index], index, None, number, x1, y1, _side(x1, x2), _side(y1, y2))
    for index, score, x1, y1, x2, y2, to in listed[:_MOST_DRAWN]:
        outcome = "right" if to >= 0 else "false"
        yield TileBox(outcome, labels[index], index, score, to, x1, y1, _side(x1, x2), _side(y1, y2))


def _side(low: float, high: float) -> float:
    return round(max(0.0, high - low), 1)


def _why(image: Mapping[str, Any], labels: Sequence[str]) -> str:
    """What is wrong with the answer, as a sentence; empty where nothing is."""
    if "found" not in image:
        if image["label"] == image["predicted"]:
            return f"Right, with {image['score']:.2f}"
        share = f"{image['score']:.2f} against {image['label_score']:.2f} of the label"
        return f"{labels[image['predicted']]} instead of {labels[image['label']]}: {share}"
    parts = [f"{image[name]} {name}" for name in ("missed", "false") if image[name]]
    parts += [f"{truth} taken for {found}" for truth, found in image["confused"][:2]]
    return ", ".join(parts)
