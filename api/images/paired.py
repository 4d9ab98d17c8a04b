"""Two evaluations image by image: computed by a child, kept beside the image indexes; the grid of won and lost ones."""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from api.images.index_cache import IndexCache
from api.images.results_child import fetch_results, run_on_results
from core.db.tables import DatasetRow, EvaluationArtifactRow
from core.domain.errors import ArtifactNotFound, EvaluationNotFound, Unavailable
from core.services.context import Platform
from core.services.models.comparisons import ComparedVersion, VersionComparison
from core.services.models.evaluations import find_evaluation_artifact
from core.storage import ObjectMissing, ObjectStore
from pipeline.evaluation.read_paired import PAIRED_VERSION, RESULTS_FILE
from pipeline.index.schema import IndexedImage
from pipeline.process.render_task import ComparedBox, ComparedPair, ComparedSide, ComparisonTask

PLOT_VERSION = 3  # of how it is drawn: raised with it, so that no older one is taken from a browser's cache
_UNPACKED = 8  # times the size of its files a comparison takes on the disk, at most

Outcomes = Sequence[tuple[str, dict[str, Any]]]


def paired_file(platform: Platform, cache: IndexCache, found: VersionComparison) -> Path:
    """What `pipeline.evaluation.read_paired` reads, computed where it was not before.

    Raises EvaluationNotFound where an evaluation is still to be made, ArtifactNotFound where one was made before its
    results were kept, OutOfSpace, Unavailable.
    """
    artifacts = [_results_of(platform, each, found.slug) for each in (found.first, found.second)]
    digests = "/".join((str(PAIRED_VERSION), *(each.sha256 for each in artifacts)))
    name = f"paired-{hashlib.sha256(digests.encode()).hexdigest()[:40]}.sqlite"
    size = sum(each.bytes for each in artifacts)
    return cache.computed(name, partial(_compute, platform.store, artifacts), most_bytes=_UNPACKED * size + 2**20)


def predictions_task(
    found: VersionComparison, images: Outcomes, indexed: dict[str, IndexedImage], *, won: int, lost: int
) -> ComparisonTask:
    """`images`: the outcome and what `read_outcome` reads of each. Those that the index lacks are left out."""
    names = found.first.name, found.second.name
    listed = sum(outcome == "won" for outcome, _ in images), sum(outcome == "lost" for outcome, _ in images)
    title = f"{listed[0]:,} of {won:,} images won by {names[1]}, {listed[1]:,} of {lost:,} lost; the clearest first"
    pairs = [_pair(image, outcome, indexed[image["path"]]) for outcome, image in images if image["path"] in indexed]
    return ComparisonTask(before=names[0], after=names[1], title=title, predictions=True, pairs=tuple(pairs))


def predictions_bytes(
    store: ObjectStore, dataset: DatasetRow, task: ComparisonTask, indexed: dict[str, IndexedImage]
) -> Iterator[bytes]:
    """The files of the task, in its order. Raises Unavailable."""
    for pair in task.pairs:
        image = indexed[pair.path]
        try:
            yield from store.open(dataset.key, start=image.at, end=image.at + image.bytes - 1)
        except ObjectMissing as error:
            raise Unavailable("The dataset is missing from the object store.", service="store") from error


def _results_of(platform: Platform, side: ComparedVersion, slug: str) -> EvaluationArtifactRow:
    if side.evaluation is None:
        detail = f"{side.name} has no evaluation on these images yet: GET /projects/{slug}/compare has its operation."
        raise EvaluationNotFound(detail, **({"operation_id": side.operation.id} if side.operation else {}))
    try:
        return find_evaluation_artifact(platform.db, side.evaluation.id, RESULTS_FILE)
    except ArtifactNotFound as error:
        detail = (
            f"The evaluation of {side.name} is older than comparisons image by image: delete it "
            f"(DELETE /evaluations/{side.evaluation.id}) and compare again."
        )
        raise ArtifactNotFound(detail, evaluation_id=side.evaluation.id) from error


def _compute(store: ObjectStore, artifacts: Sequence[EvaluationArtifactRow], target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".", suffix=".part") as folder:
        wanted = dict(zip((Path(folder, name) for name in ("first.npz", "second.npz")), artifacts, strict=True))
        fetch_results(store, wanted)
        doing = "Comparing the versions image by image"
        run_on_results("compare-results", list(wanted), target, doing=doing, service="comparison")


def _pair(image: dict[str, Any], outcome: str, indexed: IndexedImage) -> ComparedPair:
    first, second = image["first"], image["second"]
    is_detection = "boxes" in first
    note = f"F1 {first['f1']:.2f} to {second['f1']:.2f}" if is_detection else f"label {image['label']}"
    return ComparedPair.model_validate(
        {
            "path": image["path"],
            "note": f"{outcome}: {note}",
            "outcome": outcome,
            "before": _side(first, indexed, size=indexed.bytes),
            "after": _side(second, indexed, size=0),
        }
    )


def _side(answer: dict[str, Any], image: IndexedImage, *, size: int) -> ComparedSide:
    if "boxes" in answer:
        counts = [f"{answer[name]} {name}" for name in ("found", "missed", "false") if answer[name]]
        caption = ", ".join(counts) or "nothing, rightly"
        boxes = tuple(_box(box, image) for box in answer["boxes"])
    else:
        caption, boxes = f"{answer['predicted']} {answer['score']:.2f}", ()
    return ComparedSide(
        bytes=size,
        width=image.width,
        height=image.height,
        split=image.split,
        boxes=boxes,
        caption=caption,
        is_right=answer.get("right"),
    )


def _box(box: dict[str, Any], image: IndexedImage) -> ComparedBox:
    """Its part in the image: an evaluation counts boxes as the model answers them, also beyond the edges."""
    x1, x2 = (min(max(0.0, x), image.width) for x in box["box"][::2])
    y1, y2 = (min(max(0.0, y), image.height) for y in box["box"][1::2])
    label = box["class"] if box["score"] is None else f"{box['class']} {box['score']:.2f}"
    return ComparedBox(label=label, change=box["outcome"], x1=x1, y1=y1, x2=x2, y2=y2)
