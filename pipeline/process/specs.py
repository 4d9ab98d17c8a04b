"""The spec that a supervisor gives a command (spec.json): one model each, used to write and to read it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.params.dataset_exports import Arrange, Format
from pipeline.params.prepare import Background, PrepareOptions, Split


class ChildSpec(BaseModel):
    """`out`: the child's folder, in which progress.jsonl, problem.json and its results lie.

    `memory_bytes`: what the child may allocate, None for any amount; see `pipeline.process.memory_limit`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)  # a child needs one of them

    command: ClassVar[str]  # of `python -m pipeline`
    out: Path
    memory_bytes: int | None = None


class PrepareSpec(ChildSpec):
    command = "prepare"

    archive: Path
    options: PrepareOptions
    processes: int = Field(ge=1)
    job_id: str | None = None
    source: dict[str, Any] | None = None  # name, bytes, sha256 of the archive, for the metadata; None: read from it
    repaired: bool = False  # the archive was written by `repair`: its log goes behind the findings
    extended: bool = False  # the same of one that was written by `extend`
    known: Path | None = None  # an image index: its images are not decoded again
    samples: Path | None = None  # of the dataset that is extended: those that would be drawn the same are taken
    live_sets: frozenset[str] = frozenset()  # fingerprints of prepared sets that are stored: not written again
    tree: bool = True  # the tar is unpacked as well
    exclude: Path | None = None  # a list of frozen test images: those that match one are left out
    keeps_frozen: bool = False  # it extends the frozen dataset, whose own test images stay in test
    generation: int | None = None  # of the frozen test set, for the metadata
    exclusion_sha256: str | None = None  # of the list


class RepairSpec(ChildSpec):
    command = "repair"

    archive: Path
    background: Background = "auto"  # as `split`, of the PrepareOptions with which the repaired ZIP is prepared
    split: Split = "keep"
    processes: int = Field(ge=1)


class ExtendSpec(ChildSpec):
    command = "extend"

    parent: Path  # the source ZIP of the dataset that is extended
    verified: bool = False  # its sha256 was compared: its images are those that the index was made from
    index: Path  # its image index
    kind: Literal["detection", "classification"]
    classes: list[str]  # in the order of their ids
    additions: Path | None = None  # a ZIP
    changes: Path | None = None  # see `pipeline.extension.corrections`
    options: PrepareOptions  # with which what is added is read
    fractions: dict[str, float] | None = None  # of val and test; None: those of the dataset
    processes: int = Field(ge=1)
    prepare: PrepareSpec  # of the ZIP, which is written to its `archive`; `index` is read in place of its `known`


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A file of a hub's dataset: its split, its name on the hub, and where it lies."""

    split: str
    name: str
    path: Path


class ImportSpec(ChildSpec):
    command = "import"

    files: tuple[FetchedFile, ...]
    image_column: str | None = None
    label_column: str | None = None
    class_names: dict[str, list[str]] = Field(default_factory=dict)  # column -> its classes, by the dataset's card
    max_bytes: int  # of all images


SAMPLE_IMAGES = 120  # enough that a model learns the shapes, drawn within some seconds
SAMPLE_FILE = "sample.zip"


class SampleSpec(ChildSpec):
    command = "sample"

    images: int = Field(SAMPLE_IMAGES, ge=1)
    seed: int = Field(0, ge=0)


class ParentSpec(BaseModel):
    """The model version that a training goes on from. `sha256`: of its weights file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version_id: str | None = None  # None: of a training at the command line
    sha256: str


class IndexSpec(ChildSpec):
    command = "index"

    tar: Path  # a prepared set
    processes: int = Field(ge=1)


class FreezeSpec(ChildSpec):
    command = "freeze"

    tar: Path  # a prepared set
    index: Path  # its image index
    fingerprint: str
    processes: int = Field(ge=1)


class ModelSpec(BaseModel):
    """What to start from; see `pipeline.trainers.ModelSource`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["config", "weights"]
    path_or_name: str
    parent: ParentSpec | None = None


class TrainSpec(ChildSpec):
    command = "train"

    trainer: str
    params: dict[str, Any]
    dataset: Path  # a tree, in which nothing is changed
    model: ModelSpec | None = None  # None: the architecture that params.model names, from scratch
    resume: Path | None = None  # a checkpoint's folder
    seconds_left: float | None = None  # what is left of max_minutes over all attempts; None: all of it
    checkpoint_seconds: float = Field(60.0, ge=0)
    run_id: str | None = None
    attempt: int = Field(1, ge=1)
    fingerprint: str | None = None


class ImportModelSpec(ChildSpec):
    command = "import-model"

    source: Path  # what was uploaded: a .pt file, or the ZIP of a folder of transformers
    source_name: str = "model"  # as it was uploaded, for messages and model.json
    dataset: Path | None = None  # a tree that the model is evaluated on
    fingerprint: str | None = None  # of that dataset
    attempt: int = Field(1, ge=1)


class ExportSpec(ChildSpec):
    command = "export-version"

    model: Path  # a folder with the artifacts of a version
    trainer: str
    name: str  # of the version, for the description in the file
    version_id: str
    fingerprint: str | None  # of the dataset it was trained on
    format: str
    precision: str
    nms: Literal["outside", "inside"] = "outside"
    max_drop: float | None = None  # None: that of the table of bounds
    dataset: Path | None  # a prepared tree on which the certificate is made; None: of an imported version without one
    threads: int = Field(1, ge=1)


class EvaluateSpec(ChildSpec):
    command = "evaluate-version"

    model: Path  # a folder with the artifacts of a version, or the file of an export
    trainer: str | None  # None: an export
    name: str  # of the version, for the report
    thresholds: dict[str, Any] | None = None  # `metrics.thresholds` of the version
    dataset: Path  # a prepared tree
    dataset_name: str
    split: Literal["train", "val", "test"]
    index: Path | None = None  # image index of that dataset
    trained_on: tuple[Path, ...] = ()  # image indexes of the datasets that the version and its parents were trained on
    trained_on_names: tuple[str, ...] = ()  # of those datasets, in the same order; empty: not known
    trained_on_known: bool = True  # False: of an imported version, or where an index is missing
    threads: int = Field(1, ge=1)


FETCHED_FILE = "fetched.jsonl"  # in a folder of images from URLs: {url, name, file} or {url, name, error} a line


class PredictBatchSpec(ChildSpec):
    """The images: of one of `dataset`, `archive` and `fetched`."""

    command = "predict-batch"

    model: Path  # the file of an export
    name: str  # of the version
    confidence: float | None = None  # None: the thresholds of the export, as for `iou`
    iou: float | None = None
    top: int = 5
    tile: int | None = None  # px; None: no tiles
    overlap: float = 0.2
    dataset: Path | None = None  # a prepared tree
    split: Literal["train", "val", "test"] | None = None  # None: all of them
    archive: Path | None = None  # a ZIP, which is removed once it is extracted
    fetched: Path | None = None  # a folder of images from URLs, with FETCHED_FILE
    labelled: bool = True  # also write the labelled ZIP
    image_max_bytes: int
    threads: int = Field(1, ge=1)


class ExportDatasetSpec(ChildSpec):
    """The images: of one of `archive` and `tar`."""

    command = "export-dataset"

    archive: Path | None = None  # what was uploaded, which is removed once it is extracted
    tar: Path | None = None  # the prepared set, where that is not stored any more
    index: Path  # image index of the set
    kind: str
    classes: list[str]
    fingerprint: str
    content_fingerprint: str
    format: Format
    arrange: Arrange
    threads: int = Field(1, ge=1)


class BundleSpec(ChildSpec):
    command = "bundle"

    artifacts: Path  # a folder with the artifacts of a version
    export: Path  # its ONNX file
    certificate: dict[str, Any]
    metadata: Path | None  # dataset_metadata.json; None: of an imported version
    # Of the version: name, version_id, project, number, origin, trainer, params, fingerprint, parent, dataset and
    # evaluated_on (name, job_id, source_name, huggingface), notes, created_at, and the version of darkroom.
    version: dict[str, Any]
