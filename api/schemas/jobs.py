"""JSON of jobs and findings."""

from operator import attrgetter
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from api.schemas import SHA256, Links, Timestamp, stored_problem
from api.schemas.job_sources import JobSource, source_of
from api.schemas.links import link
from core.db.tables import FindingRow, JobRow
from core.db.transitions import public_fields
from core.domain.errors import ArchiveRefused, FormatUnknown, ProjectKindMismatch
from core.domain.finding_codes import title_of
from core.domain.keys import plots_of
from core.domain.limits import CLASSES_LISTED
from core.domain.model_names import dataset_name
from core.domain.states import JobState, RunState
from core.services.views import JobOverview, RunBrief
from pipeline.params.catalogue import BASELINE, entry_of

JOB_ID = "job_01kaj8x3v0q4f7m2n9r5t6w8y1"
Project = Annotated[str, Field(description="Name of the project that it belongs to.", examples=["raccoons"])]
_NUMBER = attrgetter("number")


class AcceptedJob(BaseModel):
    """A job that was created or is prepared again."""

    job_id: str = Field(examples=[JOB_ID])
    project: Project
    dataset: str = Field(description="Its name within the project.", examples=["raccoons/d2"])
    state: JobState
    links: Links


class Exclusions(BaseModel):
    """The frozen test set of the project when the dataset was prepared; each image left out has a finding."""

    generation: int = Field(examples=[1])
    sha256: str = Field(description="Of the list of its images.", examples=[SHA256])
    images: int = Field(description="How many images match one of them and were left out.", examples=[10])


class FindingCount(BaseModel):
    """The severity of a finding and how often it occurs."""

    severity: Literal["error", "warning", "note"]
    count: int = Field(examples=[3])


class JobItem(BaseModel):
    """A job in a list. Events patch the fields from `name` to `deleted_at`."""

    job_id: str = Field(examples=[JOB_ID])
    seq: int = Field(description="Number of the newest event that this answer includes.", examples=[7])
    project: Project
    dataset: str = Field(description="Its name within the project.", examples=["raccoons/d2"])
    revision: int = Field(description="Its number in the project: d1, d2, ...", examples=[2])
    parent_job_id: str | None = Field(description="The dataset that it extends.", examples=[None])
    created_at: Timestamp
    source: JobSource
    options: dict[str, Any] = Field(examples=[{"val_fraction": 0.2, "test_fraction": 0.1, "seed": 0}])

    name: str = Field(examples=["raccoon"])
    state: JobState
    stage: str | None = Field(description="The current step, for display.", examples=["checking"])
    progress: dict[str, Any] | None = Field(
        description="Progress of the stage.", examples=[{"done": 120, "total": 200}]
    )
    problem: dict[str, Any] | None = stored_problem()
    attempt: int = Field(examples=[1])
    kind: str | None = Field(examples=["detection"])
    format: str | None = Field(examples=["voc"])
    classes: list[str] | None = Field(
        description=f"The first {CLASSES_LISTED}; the metadata of the dataset has all.", examples=[["raccoon"]]
    )
    class_count: int | None = Field(description="Number of classes.", examples=[1])
    images: int | None = Field(examples=[200])
    findings: dict[str, FindingCount] | None = Field(
        description="Severity and count by code. The findings themselves are at `/jobs/{job_id}/findings`.",
        examples=[{"box-outside": {"severity": "error", "count": 3}}],
    )
    exclusions: Exclusions | None = Field(description="The frozen test set that its images were compared with.")
    fingerprint: str | None = Field(description="sha256 of images, annotations, classes and split.", examples=[SHA256])
    content_fingerprint: str | None = Field(description="The fingerprint without the split.", examples=[SHA256])
    last_version: int = Field(description="Number of the newest model version; 0 without one.", examples=[2])
    started_at: Timestamp | None
    finished_at: Timestamp | None
    deleted_at: Timestamp | None
    links: Links


class RunInJob(BaseModel):
    """A run of the job, in short."""

    run_id: str
    state: RunState
    version: int | None = Field(examples=[1])
    links: Links


class VersionInJob(BaseModel):
    """A model version of the job, in short."""

    version: str = Field(examples=["v1"])
    number: int = Field(examples=[1])
    run_id: str
    metrics: dict[str, Any]
    created_at: Timestamp
    links: Links


class Job(JobItem):
    """A job with its runs and versions, oldest first."""

    shared_with: list[str] = Field(
        description="At most 20 other ready jobs with the same fingerprint, which share the prepared dataset.",
        examples=[["job_01kaj8x3v0q4f7m2n9r5t6w8y0"]],
    )
    runs: list[RunInJob]
    versions: list[VersionInJob]


class FindingItem(BaseModel):
    """Something wrong or unusual in a dataset, with its location and the remedy."""

    code: str = Field(examples=["box-outside"])
    title: str = Field("", description="The code in plain words.", examples=["A box is outside the image"])
    severity: Literal["error", "warning", "note"]
    path: str = Field(examples=["annotations/raccoon-17.xml"], description="Name of the file in the archive.")
    line: int | None = Field(examples=[21])
    detail: str = Field(examples=["The box reaches 12 px beyond the right edge."])
    remedy: str = Field(examples=["Correct xmax, or delete the object."])
    image: str | None = Field(
        None, examples=["raccoon-17.jpg"], description="The image it is about, by its `path` in `/dataset/images`."
    )
    links: Links = Field(default_factory=dict, description="Where the image can be corrected, if one is named.")

    @model_validator(mode="after")
    def add_title(self) -> "FindingItem":
        self.title = title_of(self.code)
        return self


def accepted_job(row: JobRow) -> AcceptedJob:
    dataset = dataset_name(row.project, row.revision)
    return AcceptedJob(
        job_id=row.id, project=row.project, dataset=dataset, state=JobState(row.state), links=job_links(row)
    )


def job_item(row: JobRow) -> JobItem:
    return JobItem(**_item_fields(row))


def job_with_all(overview: JobOverview) -> Job:
    return Job(
        **_item_fields(overview.job),
        runs=[_run(run) for run in overview.runs],
        versions=sorted((_version(overview.job.id, run) for run in overview.runs if run.version), key=_NUMBER),
        shared_with=overview.shared_with,
    )


def finding_item(row: FindingRow) -> FindingItem:
    item = FindingItem.model_validate(row, from_attributes=True)
    if row.image is not None:
        item.links = {"corrections": link(f"/datasets/{row.job_id}/corrections", image=row.image)}
    return item


def job_links(row: JobRow) -> dict[str, str]:
    """None for a deleted job: every path of it answers 410."""
    if row.state == JobState.DELETED:
        return {}
    job_id = row.id  # of our own making: nothing in it needs quoting
    links = {"self": f"/jobs/{job_id}", "events": f"/jobs/{job_id}/events", "project": f"/projects/{row.project}"}
    if row.findings:
        links["findings"] = f"/jobs/{job_id}/findings"
        links["findings_csv"] = f"/jobs/{job_id}/findings.csv"
    if row.state == JobState.FAILED:
        links["retry"] = f"/jobs/{job_id}/retry"
    if row.source_key:
        links["source"] = f"/dataset/source/{job_id}"
        if row.state == JobState.READY or (row.state == JobState.REJECTED and _is_repairable(row)):
            links["repair"] = f"/jobs/{job_id}/repair"
    if row.parent_job_id:
        links["extends"] = f"/jobs/{row.parent_job_id}"
    if row.repair_of:
        links |= {"repair_of": f"/jobs/{row.repair_of}", "repair_log": f"/jobs/{job_id}/repair-log"}
    if row.state == JobState.READY:
        links |= {
            "metadata": f"/dataset/metadata/{job_id}",
            "dataset": f"/dataset/download/{job_id}",
            "dataset_exports": f"/dataset/exports/{job_id}",
            "images": f"/dataset/images/{job_id}",
            "corrections": f"/datasets/{job_id}/corrections",
            "sample": f"/dataset/sample/{job_id}",
            **{name: f"/dataset/plots/{job_id}/{name}" for name in plots_of(row.kind)},
            "train": f"/train-async/{job_id}",
            "runs": f"/runs?job_id={job_id}",
            "models": f"/models/{job_id}",
        }
        if row.parent_job_id:
            links["diff"] = f"/dataset/diff/{row.parent_job_id}/{job_id}"
        if row.kind == entry_of(BASELINE).kind:
            links["baseline"] = f"/baseline/{job_id}"
    if row.last_version:
        links["model"] = f"/download/model/{job_id}"
    return links


def _is_repairable(row: JobRow) -> bool:
    """A repair needs an archive that can be opened and a known format; it changes neither kind nor project."""
    unrepairable = (ArchiveRefused.slug, FormatUnknown.slug, ProjectKindMismatch.slug)
    return (row.problem or {}).get("slug") not in unrepairable


def _item_fields(row: JobRow) -> dict[str, Any]:
    return {
        "job_id": row.id,
        "seq": row.event_seq,
        "project": row.project,
        "dataset": dataset_name(row.project, row.revision),
        "revision": row.revision,
        "parent_job_id": row.parent_job_id,
        "created_at": timestamp(row.created_at),
        "source": source_of(row),
        "options": row.options,
        "links": job_links(row),
        "class_count": None if row.classes is None else len(row.classes),
        **public_fields(row),
    }


def _run(run: RunBrief) -> RunInJob:
    links = {"self": link(f"/runs/{run.id}")}
    return RunInJob(run_id=run.id, state=RunState(run.state), version=run.version, links=links)


def _version(job_id: str, run: RunBrief) -> VersionInJob:
    version = f"v{run.version}"
    return VersionInJob.model_validate(
        {
            "version": version,
            "number": run.version,
            "run_id": run.id,
            "metrics": run.metrics,
            "created_at": timestamp(run.published_at),
            "links": {"self": link(f"/models/{job_id}/{version}")},
        }
    )


def timestamp(value: Any) -> str:
    return str(value.isoformat().replace("+00:00", "Z"))
