"""What a child process leaves for its supervisor: result.json, or problem.json for a failure."""

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator

from core.domain.errors import DarkroomError, error_from_slug

RESULT_FILE = "result.json"  # written last: its existence means complete
PROBLEM_FILE = "problem.json"
FINDINGS_FILE = "findings.jsonl"
FROZEN_LIST_FILE = "frozen_images.json"
METADATA_FILE = "dataset_metadata.json"
REPAIRED_FILE = "repaired.zip"
EXTENDED_FILE = "extended.zip"


class ChildResult(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


Result = TypeVar("Result", bound=ChildResult)


class ChildProblem(ChildResult):
    """A typed error that crosses the process boundary."""

    slug: str
    detail: str
    facts: dict[str, Any] = Field(default_factory=dict)

    @field_validator("facts")
    @classmethod
    def keep_the_names_of_an_error(cls, facts: dict[str, Any]) -> dict[str, Any]:
        """A child that is hostile must not make `as_error` fail."""
        if {"slug", "detail"} & facts.keys():
            raise ValueError("slug and detail are not facts")
        return facts

    @classmethod
    def of(cls, error: DarkroomError) -> Self:
        return cls(slug=error.slug, detail=error.detail, facts=error.facts)

    def as_error(self) -> DarkroomError:
        return error_from_slug(self.slug, self.detail, **self.facts)


class FileDigest(ChildResult):
    bytes: int
    sha256: str


class Gallery(ChildResult):
    """`plots`: names of the plots that were drawn; `samples`: number of sample images."""

    plots: tuple[str, ...] = ()
    samples: int = 0


class Prepared(ChildResult):
    outcome: Literal["ready"]
    kind: str
    format: str
    classes: list[str]
    images: int
    fingerprint: str
    content_fingerprint: str
    layout_version: int
    tar_bytes: int | None  # None: a live set has this fingerprint
    gallery: Gallery
    metadata: FileDigest
    findings: dict[str, Any]  # code -> {severity, count}
    findings_total: int
    excluded: int = 0  # images left out, since they match a frozen test image


class Rejection(ChildResult):
    """The data's fault; findings.jsonl lists what is wrong."""

    outcome: Literal["rejected"]
    problem: ChildProblem
    kind: str | None = None
    format: str | None = None
    findings: dict[str, Any] = Field(default_factory=dict)
    findings_total: int = 0


class RepairedArchive(ChildResult):
    outcome: Literal["repaired"] = "repaired"
    images: int
    changes: int


class ExtendedArchive(ChildResult):
    """Numbers of images: of the revision, and of those that are new, got other annotations, or could not be added."""

    outcome: Literal["extended"] = "extended"
    images: int
    added: int
    replaced: int
    left_out: int


class ImportedArchive(ChildResult):
    outcome: Literal["imported"] = "imported"
    images: int
    left_out: int  # rows without an image or without a label
    classes: tuple[str, ...]


class ImportedModel(ChildResult):
    """Its artifacts are in `out/artifacts`, as those of a training. `notes`: sentences for people."""

    outcome: Literal["model-imported"] = "model-imported"
    trainer: str
    kind: str
    classes: int
    notes: tuple[str, ...] = ()


class IndexedSet(ChildResult):
    outcome: Literal["indexed"] = "indexed"
    images: int


class FrozenList(ChildResult):
    """`out/frozen_images.json` with its digest."""

    outcome: Literal["frozen"] = "frozen"
    images: int
    sha256: str


class Exported(ChildResult):
    """`out/export/<file_name>` is the file, `out/certificate.json` what it answers."""

    outcome: Literal["exported"] = "exported"
    file_name: str
    media_type: str
    passed: bool
    notes: tuple[str, ...] = ()


class Evaluated(ChildResult):
    """Its files are in `out/artifacts`; `metrics` is what lists and the matrix show.

    The figures of the whole split by their names (`mAP50`, ..., `accuracy`, ...) and `images`, their number. Beside
    them `intervals`: figure -> [low, high]; `seen`: {known, images, same, near, val, listed}, the images that the model
    was trained on (`known` is false where not all indexes were there, and the numbers are None without any; `val`:
    those of val); `unseen`: the figures and
    `images` without those of train, None where too few are left, as `unseen_note` says; `untouched`: also without those
    of val; `classes`: {compared, missing, extra, respelt}, names; `left_out`: {unit, count, figure}, what the classes
    that are missing had, and the main figure with it counted as not found; `at_threshold`, `thresholds`, `kind`,
    `split`.
    """

    outcome: Literal["evaluated"] = "evaluated"
    metrics: dict[str, Any]


class BatchPredicted(ChildResult):
    """Its files are in `out/artifacts`. `summary`: see `pipeline.batch.summary`, and the engine with its precision."""

    outcome: Literal["batch-predicted"] = "batch-predicted"
    summary: dict[str, Any]


class Loss(ChildResult):
    """What an export of a dataset could not keep: see `pipeline.dataset_export.losses`."""

    code: str
    count: int
    detail: str


class DatasetExported(ChildResult):
    """`out/dataset.zip` is the file."""

    outcome: Literal["dataset-exported"] = "dataset-exported"
    images: int
    losses: list[Loss]


class BundledFile(FileDigest):
    name: str


class Bundled(ChildResult):
    """`out/bundle.zip`, and its files with their sizes and digests, in their order."""

    outcome: Literal["bundled"] = "bundled"
    contents: list[BundledFile]


AnyResult = Annotated[
    Prepared
    | Rejection
    | RepairedArchive
    | ExtendedArchive
    | ImportedArchive
    | ImportedModel
    | IndexedSet
    | FrozenList
    | Exported
    | Evaluated
    | BatchPredicted
    | Bundled,
    Field(discriminator="outcome"),
]


@cache
def _any_result() -> TypeAdapter[AnyResult]:
    return TypeAdapter(AnyResult)  # 40 ms, which only supervisors need


def read_result(out: Path) -> AnyResult | None:
    """The result in a child's folder; None where it is missing or malformed."""
    try:
        return _any_result().validate_json((out / RESULT_FILE).read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def read_result_of(out: Path, model: type[Result]) -> Result | None:
    """The result of a command that has one kind of result; None where it is missing or malformed."""
    try:
        return model.model_validate_json((out / RESULT_FILE).read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def read_problem(out: Path) -> ChildProblem | None:
    """The failure in a child's folder; None where it is missing or malformed."""
    try:
        return ChildProblem.model_validate_json((out / PROBLEM_FILE).read_bytes())
    except (OSError, ValueError):
        return None


def problem_in(out: Path) -> str:
    """`slug: detail` of the failure in a child's folder; empty where there is none."""
    problem = read_problem(out)
    return f"{problem.slug}: {problem.detail}" if problem else ""


def write_result(out: Path, result: ChildResult) -> None:
    """All or nothing."""
    write_last(out / RESULT_FILE, result.model_dump_json(indent=1))


def write_last(path: Path, text: str) -> None:
    """The file appears whole or not at all."""
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
