"""JSON of the matrix of a project: its versions x datasets, a figure in each cell."""

from typing import Literal

from pydantic import BaseModel, Field

from api.schemas import SHA256, Links, Timestamp
from api.schemas.evaluations import EVALUATION_ID, EXPORT_ID, Split
from api.schemas.jobs import JOB_ID, Project, timestamp
from api.schemas.links import link
from core.domain.evaluation_figures import METRICS_OF_KIND
from core.services.models.evaluation_matrix import MAX_VERSIONS, Matrix, MatrixCell, MatrixDataset, MatrixRow


class ColumnOfMatrix(BaseModel):
    """A dataset."""

    job_id: str = Field(examples=[JOB_ID])
    name: str = Field(examples=["raccoons/d2"])
    title: str = Field(description="The name of its upload.", examples=["march.zip"])
    images: int | None = Field(description="Images of all splits.", examples=[240])
    fingerprint: str = Field(examples=[SHA256])
    outside: bool = Field(description="Of another project.")
    links: Links


class CellOfMatrix(BaseModel):
    """A figure; `value` is null where nothing was evaluated, and where the split has nothing to measure."""

    value: float | None = Field(examples=[0.814])
    low: float | None = Field(None, description="With a confidence of 95 %, as `high`.", examples=[0.772])
    high: float | None = Field(None, examples=[0.851])
    images: int | None = Field(None, description="Images of the split whose class the model has.", examples=[48])
    source: Literal["evaluation", "training"] | None = Field(
        description="`training`: measured when it was published, by its training or at its import. Null: not evaluated."
    )
    evaluation_id: str | None = Field(None, examples=[EVALUATION_ID])
    seen_images: int | None = Field(
        None,
        description="Images it was trained on, or near-duplicates of them; null where nothing was compared.",
        examples=[2],
    )
    seen_known: bool | None = Field(
        None, description="Whether all images it was trained on are known; null for a figure of its training."
    )
    unseen: float | None = Field(None, description="The figure without those images.", examples=[0.801])
    missing_classes: int | None = Field(
        None, description="Classes of the dataset that the model does not have.", examples=[0]
    )
    links: Links


class RowOfMatrix(BaseModel):
    """A version, or an export of it that was evaluated. `cells` are in the order of `datasets`."""

    version: str = Field(examples=["raccoons/v3"])
    export_id: str | None = Field(examples=[EXPORT_ID])
    export: str | None = Field(description="Format and precision of the export.", examples=["onnx int8"])
    aliases: list[str] = Field(examples=[["production"]])
    trained_on: str | None = Field(description="Fingerprint of the dataset it was trained on.", examples=[SHA256])
    created_at: Timestamp
    cells: list[CellOfMatrix]
    links: Links


class EvaluationMatrix(BaseModel):
    """Versions, newest first, x datasets, oldest first. What is not evaluated is requested with `POST /evaluations`
    and `{version | export, job_id, split}` of its row and column."""

    project: Project
    split: Split
    metric: str = Field(examples=["mAP50"])
    metrics: list[str] = Field(description="What `metric` may be.", examples=[["mAP50", "mAP50-95"]])
    datasets: list[ColumnOfMatrix]
    rows: list[RowOfMatrix]
    datasets_left_out: bool = Field(description="There are older datasets than these.")
    evaluations_left_out: bool = Field(
        description="There are older evaluations than those in the cells: take fewer versions a page, with `limit`."
    )
    next_cursor: str | None = Field(
        None, description="Send it as `cursor` to get older versions. Null on the last page."
    )
    links: Links


def matrix_of(matrix: Matrix, *, cursor: str | None, limit: int) -> EvaluationMatrix:
    """`cursor`, `limit`: of the request."""
    path = f"/projects/{matrix.slug}/evaluations/matrix"
    query = {"split": matrix.split, "metric": matrix.metric}
    if limit != MAX_VERSIONS:
        query["limit"] = str(limit)
    same = query if cursor is None else query | {"cursor": cursor}
    links = {"self": link(path, **same), "evaluate": link("/evaluations")}
    links |= {each: link(path, **same, format=each) for each in ("csv", "svg")}
    if matrix.next_cursor:
        links["next"] = link(path, **query, cursor=matrix.next_cursor)
    return EvaluationMatrix(
        project=matrix.slug,
        split=matrix.split,
        metric=matrix.metric,
        metrics=list(METRICS_OF_KIND[matrix.kind or "detection"]),
        datasets=[_column(each) for each in matrix.datasets],
        rows=[_row(each, matrix) for each in matrix.rows],
        datasets_left_out=matrix.datasets_left_out,
        evaluations_left_out=matrix.evaluations_left_out,
        next_cursor=matrix.next_cursor,
        links=links,
    )


def _column(dataset: MatrixDataset) -> ColumnOfMatrix:
    return ColumnOfMatrix(
        job_id=dataset.job_id,
        name=dataset.name,
        title=dataset.title,
        images=dataset.images,
        fingerprint=dataset.fingerprint,
        outside=dataset.is_outside,
        links={"self": link(f"/jobs/{dataset.job_id}")},
    )


def _row(row: MatrixRow, matrix: Matrix) -> RowOfMatrix:
    links = {"self": link(row.path)}
    if row.export_id:
        links["export"] = link(f"{row.path}/exports/{row.export_id}")
    return RowOfMatrix(
        version=row.name,
        export_id=row.export_id,
        export=row.export,
        aliases=list(row.aliases),
        trained_on=row.trained_on,
        created_at=timestamp(row.created_at),
        cells=[_cell(row.cells.get(each.fingerprint), row) for each in matrix.datasets],
        links=links,
    )


def _cell(cell: MatrixCell | None, row: MatrixRow) -> CellOfMatrix:
    if cell is None:
        return CellOfMatrix(value=None, source=None, links={"evaluate": link("/evaluations")})
    about = {"self": link(f"/evaluations/{cell.evaluation_id}")} if cell.evaluation_id else {"self": link(row.path)}
    source: Literal["evaluation", "training"] = "evaluation" if cell.evaluation_id else "training"
    figure = cell.figure
    if figure is None:
        return CellOfMatrix(value=None, source=source, evaluation_id=cell.evaluation_id, links=about)
    return CellOfMatrix(**figure._asdict(), source=source, evaluation_id=cell.evaluation_id, links=about)
