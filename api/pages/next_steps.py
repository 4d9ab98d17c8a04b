"""What a user may do about a rejected dataset."""

from dataclasses import dataclass

from api.pages.findings_view import FindingGroup, found_groups
from api.pages.upload_form import UploadForm, extension_form, upload_form
from core.db import Database
from core.db.tables import JobRow, ProjectRow
from core.domain.errors import DatasetRejected
from core.domain.limits import SKIP_MIN_REMAINING
from core.domain.model_names import dataset_name
from core.services.context import Platform
from core.services.jobs.commands import get_job, has_error_of_the_whole


@dataclass(frozen=True, slots=True)
class LeavingOut:
    """Preparing the stored ZIP again without the broken items. `why_not`: why that does not help; empty where it does.

    `left_out` of `images` are those that stay out; `reasons`: the errors, the most frequent first.
    """

    left_out: int
    images: int
    reasons: list[FindingGroup]
    why_not: str


def leaving_out(db: Database, job: JobRow) -> LeavingOut | None:
    """None where no images were read, or the ZIP is not to be had."""
    problem = job.problem or {}
    if problem.get("slug") != DatasetRejected.slug or not problem.get("images"):
        return None
    left_out, images = int(problem["unusable"]), int(problem["images"])
    reasons = found_groups(job, severity="error")
    return LeavingOut(left_out, images, reasons, _why_not(db, job, left_out / images))


def corrected_form(platform: Platform, job: JobRow, project: ProjectRow) -> UploadForm:
    """A corrected ZIP joins the same project, or extends the same dataset."""
    if job.extension and job.parent_job_id:
        parent = get_job(platform.db, job.parent_job_id, allow_deleted=True)
        if parent.deleted_at is None:
            name = dataset_name(parent.project, parent.revision)
            return extension_form(project=parent.project, dataset=name, job_id=parent.id)
    return upload_form(platform, project="" if project.implicit else project.slug)


def _why_not(db: Database, job: JobRow, share: float) -> str:
    if job.extension:
        return "It extends another dataset: correct what was added, and extend that one again."
    if job.source_key is None:
        return "Its ZIP is no longer stored."
    if job.options.get("on_error") != "skip" and _is_skippable(db, job, share):
        return ""
    if 1 - share < SKIP_MIN_REMAINING:
        return f"Only {1 - share:.0%} of the images would remain; at least {SKIP_MIN_REMAINING:.0%} must."
    return "An error is about the dataset as a whole, and stays when items are left out."


def _is_skippable(db: Database, job: JobRow, share: float) -> bool:
    """As its rejection says; one from before it said so, by its findings."""
    known: bool | None = (job.problem or {}).get("skippable")
    if known is not None:
        return known
    return 1 - share >= SKIP_MIN_REMAINING and not has_error_of_the_whole(db, job.id)
