"""JSON of the comparison of two versions."""

from typing import Any

from pydantic import BaseModel, Field

from api.schemas import Links
from api.schemas.evaluations import Split
from api.schemas.jobs import JOB_ID, SHA256, Project
from api.schemas.links import link
from api.schemas.operations import Operation, operation_of
from api.schemas.runs import Leak
from core.domain.evaluation_figures import METRICS_OF_KIND
from core.domain.model_names import dataset_name
from core.services.models.comparisons import ComparedVersion, VersionComparison


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


class Comparison(BaseModel):
    """Two versions on the same images. Without figures while `operations` make an evaluation."""

    project: Project
    job_id: str = Field(description="Of the dataset whose images are compared on.", examples=[JOB_ID])
    dataset: str = Field(examples=["raccoons/d2"])
    split: Split
    generation: int | None = Field(description="Of the frozen test set; null where a dataset was named.", examples=[1])
    first: ComparisonSide
    second: ComparisonSide
    figures: list[ComparedFigure]
    params: dict[str, dict[str, Any]] = Field(
        description="Params of the trainings that differ.", examples=[{"epochs": {"first": 30, "second": 50}}]
    )
    operations: list[Operation] = Field(description="Evaluations that are missing.")
    links: Links


def comparison_of(found: VersionComparison) -> Comparison:
    sides = (found.first, found.second)
    waits = [each.operation for each in sides if each.evaluation is None]
    datasets = [each.dataset.id for each in sides if each.dataset is not None]
    links = {"test_set": link(f"/projects/{found.slug}/test-set"), "job": link(f"/jobs/{found.dataset.id}")}
    if len(set(datasets)) == len(sides):
        links["dataset_diff"] = link(f"/dataset/diff/{datasets[0]}/{datasets[1]}")
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
            "operations": [operation_of(each, {str(each.project_id): found.slug}) for each in waits],
            "links": links,
        }
    )


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
