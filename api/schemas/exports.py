"""JSON of exports: what each file answers beside the model it was made of, as its certificate has it."""

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.schemas import SHA256, Links, PageOf, Timestamp
from api.schemas.jobs import Project, timestamp
from api.schemas.links import link
from api.schemas.operations import OPERATION_ID, Operation, operation_of
from core.db.tables import ExportRow, VersionRow
from core.domain.model_names import version_name
from core.domain.states import RunState
from core.services.models.exports import ExportChoice, ExportsOfVersion
from pipeline.export.catalogue import Format, Nms, Precision
from pipeline.params.catalogue import IMPORTED

Part = TypeVar("Part", bound=BaseModel)
EXPORT_ID = "export_01kaj8x5c2d3e4f5g6h7j8k9m0"


# What is often said of a format over PyTorch; docs/performance.md has what was measured.
CLAIMED_SPEED_UPS = {"onnx": "1.7", "torchscript": "1.4", "tensorrt": "4 to 5"}


class ExportRequest(BaseModel):
    """All fields are optional: by default an ONNX file in single precision."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"format": "onnx", "precision": "fp32"}]})

    format: Format = Field("onnx", description="The format of the file.")
    precision: Precision = Field("fp32", description="fp16 halves the file; bf16 and int8 are faster.")
    nms: Nms = Field(
        "outside", description="Of a detector: whether the suppression of overlapping boxes is part of the file."
    )
    max_drop: float | None = Field(
        None, ge=0, le=1, description="int8 only: the most that mAP50-95 or accuracy may fall."
    )

    def as_choice(self) -> ExportChoice:
        return ExportChoice(self.format, self.precision, self.nms, self.max_drop)


class EqualPredictions(BaseModel):
    """Predictions of the file that equal those of the model: the same class, box and score within its bounds."""

    compared: int = Field(examples=[160])
    equal: int = Field(examples=[160])
    share: float = Field(examples=[1.0])


class ExportFigure(BaseModel):
    """The main metric of both on the same images; `low` and `high` bound the change with a confidence of 95 %."""

    name: str = Field(examples=["mAP50-95"])
    model: float = Field(examples=[0.812])
    export: float = Field(examples=[0.812])
    change: float = Field(examples=[0.0])
    low: float = Field(examples=[-0.0004])
    high: float = Field(examples=[0.0003])


class Speed(BaseModel):
    """Milliseconds of a prediction, and how many there are in a second, one after the other."""

    p50: float = Field(gt=0, examples=[11.2])
    p95: float = Field(gt=0, examples=[13.9])
    images_per_second: float = Field(examples=[87.5])


class SpeedOfBoth(BaseModel):
    """Of the framework and of the file, measured in turns on the same images."""

    model: Speed
    export: Speed


class Export(BaseModel):
    """A file that runs without the framework of its version. What its certificate did not measure is null."""

    export_id: str = Field(examples=[EXPORT_ID])
    project: Project
    name: str = Field(description="Name of the version that it was made of.", examples=["raccoons/v3"])
    version: str = Field(examples=["v3"])
    format: str = Field(examples=["onnx"])
    precision: str = Field(examples=["fp32"])
    nms: str = Field(examples=["outside"])
    max_drop: float | None = Field(examples=[None])
    file_name: str = Field(description="What `download` calls it.", examples=["raccoons-v3.onnx"])
    bytes: int = Field(examples=[12345678])
    sha256: str = Field(examples=[SHA256])
    media_type: str = Field(examples=["application/octet-stream"])
    passed: bool = Field(description="Whether its certificate passed. One that did not is never served.")
    reasons: list[str] = Field(description="Why it did not pass.", examples=[[]])
    images: int | None = Field(description="Images that both predicted.", examples=[160])
    predictions: EqualPredictions | None
    figure: ExportFigure | None
    milliseconds: SpeedOfBoth | None
    speed_up: float | None = Field(description="Median time of the framework over that of the file.", examples=[1.7])
    claimed_speed_up: str | None = Field(
        description="What is often claimed of the format over PyTorch; `speed_up` is what was measured.",
        examples=["1.7"],
    )
    engine: str | None = Field(description="What ran the file.", examples=["onnxruntime"])
    operation_id: str = Field(examples=[OPERATION_ID])
    created_at: Timestamp
    links: Links


class Baseline(BaseModel):
    """The model in its framework, as the newest export was compared with it."""

    framework: Literal["pytorch", "onnxruntime"] = Field(
        description="onnxruntime for a version that was imported as ONNX: it has no other."
    )
    figure: str = Field(examples=["mAP50-95"])
    value: float = Field(examples=[0.812])
    milliseconds: Speed
    compared_with: str = Field(description="That export.", examples=[EXPORT_ID])


class Exports(PageOf[Export]):
    """The exports of a version side by side, newest first."""

    project: Project
    name: str = Field(description="Name of the version.", examples=["raccoons/v3"])
    version: str = Field(examples=["v3"])
    baseline: Baseline | None = Field(description="Null where nothing was compared.")
    waiting: list[Operation] = Field(description="Exports that are being made or wait.")
    failed: list[Operation] = Field(description="Exports that could not be made, each with its problem.")
    links: Links


def export_of(row: ExportRow, version: VersionRow, slug: str, file_name: str) -> Export:
    """`slug`: of the project; `file_name`: of the download."""
    of, times = row.certificate, _of(SpeedOfBoth, row.certificate.get("milliseconds"))
    path = f"{_path_of(version)}/exports/{row.id}"
    return Export(
        export_id=row.id,
        project=slug,
        name=version_name(slug, version.number),
        version=f"v{version.number}",
        format=row.format,
        precision=row.precision,
        nms=row.options["nms"],
        max_drop=row.options["max_drop"],
        file_name=file_name,
        bytes=row.bytes,
        sha256=row.sha256,
        media_type=row.media_type,
        passed=row.passed,
        reasons=of.get("reasons") or [],
        images=of.get("images"),
        predictions=_of(EqualPredictions, of.get("predictions")),
        figure=_of(ExportFigure, of.get("figures")),
        milliseconds=times,
        speed_up=round(times.model.p50 / times.export.p50, 2) if times else None,
        claimed_speed_up=CLAIMED_SPEED_UPS.get(row.format),
        engine=of.get("engine"),
        operation_id=row.operation_id,
        created_at=timestamp(row.created_at),
        links={
            "self": link(path),
            "certificate": link(f"{path}/certificate"),
            "download": link(f"{path}/download", **({} if row.passed else {"force": "true"})),
            "version": link(_path_of(version)),
            "operation": link(f"/operations/{row.operation_id}"),
        },
    )


def exports_of(found: ExportsOfVersion, items: Sequence[Export]) -> Exports:
    version, path = found.version, _path_of(found.version)
    operations = [operation_of(row, {version.project_id: found.slug}) for row in found.unfinished]
    return Exports(
        items=list(items),
        next_cursor=found.page.next_cursor,
        project=found.slug,
        name=version_name(found.slug, version.number),
        version=f"v{version.number}",
        baseline=_baseline(items, version.trainer),
        waiting=[each for each in operations if each.state != RunState.FAILED],
        failed=[each for each in operations if each.state == RunState.FAILED],
        links={"self": link(f"{path}/exports"), "plot": link(f"{path}/exports/plot"), "version": link(path)},
    )


def _path_of(version: VersionRow) -> str:
    return f"/models/{version.job_id or version.project_id}/v{version.number}"


def _baseline(items: Sequence[Export], trainer: str) -> Baseline | None:
    for each in items:
        if each.figure and each.milliseconds:
            figure, times = each.figure, each.milliseconds.model
            return Baseline(
                framework="onnxruntime" if trainer in IMPORTED else "pytorch",
                figure=figure.name,
                value=figure.model,
                milliseconds=times,
                compared_with=each.export_id,
            )
    return None


def _of(model: type[Part], content: Any) -> Part | None:
    """None for what was not measured, or not as this version knows it."""
    try:
        return model.model_validate(content)
    except ValidationError:
        return None
