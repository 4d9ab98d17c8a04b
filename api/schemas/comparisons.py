"""JSON of the comparison of two versions."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from api.schemas import SHA256, Links
from api.schemas.evaluations import Split
from api.schemas.images import BOXES_LISTED
from api.schemas.jobs import JOB_ID, Project
from api.schemas.links import link
from api.schemas.operations import Operation, operation_of
from api.schemas.runs import Leak
from core.domain.evaluation_figures import METRICS_OF_KIND
from core.domain.limits import CLASSES_LISTED
from core.domain.model_names import dataset_name
from core.services.models.comparisons import ComparedVersion, VersionComparison

Outcome = Literal["won", "lost"]


class ComparisonSide(BaseModel):
    """One of the two versions."""

    version: str = Field(examples=["raccoons/v1"])
    trainer: str = Field(examples=["yolo"])
    dataset: str | None = Field(description="It was trained on; null for an imported one.", examples=["raccoons/d1"])
    fingerprint: str | None = Field(description="Of that dataset.", examples=[SHA256])
    classes: int | None = Field(description="How many that dataset has.", examples=[3])
    images: int | None = Field(description="How many that dataset has.", examples=[200])
    seen: dict[str, Any] | None = Field(description="Compared images that it was trained on, as its evaluation says.")
    leak: Leak | None
    evaluation_id: str | None = Field(description="Null while it is being made.")
    links: Links


class ComparedFigure(BaseModel):
    """A figure of both. Intervals have a confidence of 95 %; `change` is second minus first."""

    metric: str = Field(examples=["mAP50"])
    first: float | None
    second: float | None
    change: float | None
    first_interval: list[float] | None
    second_interval: list[float] | None


class PairedFigure(BaseModel):
    """A figure of both on the same images. `change` is second minus first."""

    metric: str = Field(examples=["mAP50-95"])
    first: float
    second: float
    change: float
    interval: list[float] | None = Field(
        description="Of the change, by a paired bootstrap over the images, with a confidence of 95 %. Null with fewer "
        "than 5 images, and where no resample differs.",
        examples=[[-0.012, 0.094]],
    )


class PairedClass(BaseModel):
    """The figures of a class that both versions have."""

    name: str = Field(examples=["raccoon"])
    images: int = Field(description="With the class.")
    instances: int | None = Field(description="Its true boxes; null in classification.")
    figures: list[PairedFigure]


class PairedComparison(BaseModel):
    """Both versions image by image, over the classes that both have."""

    images: int
    classes: int
    resamples: int = Field(description="Of the images, the same ones for both.", examples=[400])
    figures: list[PairedFigure]
    per_class: list[PairedClass] = Field(description=f"Those with the largest change first, at most {CLASSES_LISTED}.")
    won: int = Field(description="Images that the second answers better.")
    lost: int = Field(description="Images that the first answers better.")
    tied: int
    rule: str = Field(description="When an image is won.")


class AnswerBox(BaseModel):
    """A box. `x` and `y` are its left and its top edge, in pixels of the upright image."""

    class_: str = Field(alias="class", examples=["raccoon"])
    outcome: Literal["found", "false", "missed"] = Field(description="`missed`: a true box that is not found.")
    score: float | None = Field(description="Null of one that is missed.")
    x: float
    y: float
    width: float
    height: float


class VersionAnswer(BaseModel):
    """What a version answers for an image: of a detector from `f1` to `boxes`, of a classifier the others."""

    f1: float | None = None
    found: int | None = Field(None, description="Boxes that match a true one.")
    missed: int | None = None
    false: int | None = None
    boxes: list[AnswerBox] | None = Field(None, description=f"The first {BOXES_LISTED}.")
    right: bool | None = None
    predicted: str | None = Field(None, description="Its class.")
    score: float | None = Field(None, description="The probability of that class.")
    label_score: float | None = Field(None, description="The probability of the label.")


class ComparedImage(BaseModel):
    """An image that one of both answers better."""

    path: str = Field(examples=["raccoon-17.jpg"])
    outcome: Outcome
    label: str | None = Field(description="The class of the whole image, in classification.")
    first: VersionAnswer
    second: VersionAnswer


class Comparison(BaseModel):
    """Two versions on the same images. Without figures while `operations` make an evaluation."""

    project: Project
    job_id: str = Field(description="Of the dataset whose images are compared on.", examples=[JOB_ID])
    dataset: str = Field(examples=["raccoons/d2"])
    split: Split
    generation: int | None = Field(description="Of the frozen test set; null where a dataset was named.", examples=[1])
    first: ComparisonSide
    second: ComparisonSide
    figures: list[ComparedFigure] = Field(
        description="Of their evaluations. What the training of a yolo version reported for the same split can differ, "
        "much for a weak detector: it pads the images of a batch to one shape, an evaluation each for itself."
    )
    params: dict[str, dict[str, Any]] = Field(
        description="Params of the trainings that differ.", examples=[{"epochs": {"first": 30, "second": 50}}]
    )
    libraries: dict[str, dict[str, str | None]] = Field(
        description="Versions of libraries that differ, of those that both were trained with; `darkroom` is this code.",
        examples=[{"torch": {"first": "2.7.1", "second": "2.8.0"}}],
    )
    paired: PairedComparison | None = Field(description="Null where `paired_note` says why.")
    paired_note: str
    operations: list[Operation] = Field(description="Evaluations that are missing.")
    links: Links


def comparison_of(found: VersionComparison, paired: dict[str, Any] | None, note: str) -> Comparison:
    """`paired`: what `pipeline.evaluation.read_paired` reads, or the `note` why there is none."""
    sides = (found.first, found.second)
    waits = [each for each in sides if each.evaluation is None]
    operations = [each.operation for each in waits if each.operation is not None]
    datasets = [each.dataset.id for each in sides if each.dataset is not None]
    query = {"a": f"v{found.first.row.number}", "b": f"v{found.second.row.number}", "split": found.split}
    named = None if found.generation else found.dataset.id
    links = {"test_set": link(f"/projects/{found.slug}/test-set"), "job": link(f"/jobs/{found.dataset.id}")}
    if len(set(datasets)) == len(sides):
        links["dataset_diff"] = link(f"/dataset/diff/{datasets[0]}/{datasets[1]}")
    if paired is not None:
        path = f"/projects/{found.slug}/compare"
        links["plot"] = link(f"{path}/plot", **query, job_id=named)
        for outcome in ("won", "lost"):
            links[outcome] = link(f"{path}/images", **query, outcome=outcome, job_id=named)
    return Comparison.model_validate(
        {
            "project": found.slug,
            "job_id": found.dataset.id,
            "dataset": dataset_name(found.dataset.project, found.dataset.revision),
            "split": found.split,
            "generation": found.generation,
            "first": _side(found.first),
            "second": _side(found.second),
            "figures": [] if waits else _figures(found),
            "params": _params(found.first.row.params, found.second.row.params),
            "libraries": {} if paired is None else _libraries(**paired["libraries"]),
            "paired": None if paired is None else _paired(paired),
            "paired_note": note,
            "operations": [operation_of(each, {str(each.project_id): found.slug}) for each in operations],
            "links": links,
        }
    )


def compared_image(image: dict[str, Any], outcome: str) -> ComparedImage:
    """`image`: as `read_outcome` reads it."""
    first, second = (_answer(image[name]) for name in ("first", "second"))
    return ComparedImage.model_validate({**image, "outcome": outcome, "first": first, "second": second})


def _answer(answer: dict[str, Any]) -> dict[str, Any]:
    if "boxes" not in answer:
        return answer
    return {**answer, "boxes": [_box(**each) for each in answer["boxes"][:BOXES_LISTED]]}


def _box(*, box: list[float], **rest: Any) -> dict[str, Any]:
    x1, y1, x2, y2 = box
    return {**rest, "x": x1, "y": y1, "width": round(x2 - x1, 1), "height": round(y2 - y1, 1)}


def _paired(paired: dict[str, Any]) -> dict[str, Any]:
    main = METRICS_OF_KIND[paired["kind"]][0]
    rows = [{**each, "name": each["class"]} for each in paired["per_class"]]
    rows.sort(key=lambda row: -abs(next(each["change"] for each in row["figures"] if each["metric"] == main)))
    return {**paired, "per_class": rows[:CLASSES_LISTED]}


def _libraries(first: dict[str, str], second: dict[str, str]) -> dict[str, dict[str, str | None]]:
    """Those that differ, where both are known: a version that was made elsewhere has fewer."""
    if not first or not second:
        return {}
    names = sorted({*first, *second})
    return {
        name: {"first": first.get(name), "second": second.get(name)}
        for name in names
        if first.get(name) != second.get(name)
    }


def _side(side: ComparedVersion) -> dict[str, Any]:
    dataset, metrics = side.dataset, side.evaluation.metrics if side.evaluation else {}
    return {
        "version": side.name,
        "trainer": side.row.trainer,
        "dataset": dataset and dataset_name(dataset.project, dataset.revision),
        "fingerprint": side.row.fingerprint,
        "classes": len(dataset.classes or ()) if dataset else None,
        "images": dataset and dataset.images,
        "seen": metrics.get("seen"),
        "leak": side.row.leak,
        "evaluation_id": side.evaluation and side.evaluation.id,
        "links": {
            "self": link(f"/models/{side.name}"),
            **({"evaluation": link(f"/evaluations/{side.evaluation.id}")} if side.evaluation else {}),
        },
    }


def _figures(found: VersionComparison) -> list[dict[str, Any]]:
    first, second = (each.evaluation.metrics if each.evaluation else {} for each in (found.first, found.second))
    figures = []
    for metric in METRICS_OF_KIND[str(found.dataset.kind)]:
        before, after = first.get(metric), second.get(metric)
        figures.append(
            {
                "metric": metric,
                "first": before,
                "second": after,
                "change": None if before is None or after is None else round(after - before, 5),
                "first_interval": (first.get("intervals") or {}).get(metric),
                "second_interval": (second.get("intervals") or {}).get(metric),
            }
        )
    return figures


def _params(first: dict[str, Any], second: dict[str, Any]) -> dict[str, dict[str, Any]]:
    names = sorted({*first, *second})
    differing = [name for name in names if first.get(name) != second.get(name)]
    return {name: {"first": first.get(name), "second": second.get(name)} for name in differing}
