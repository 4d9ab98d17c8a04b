"""A dataset comes from a hub instead of an upload; from its worker on it is a job like any other."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.dependencies import ThePlatform, Wait
from api.http.idempotency import Once, TheOnce
from api.http.long_poll import wait_until_ended
from api.http.openapi import problems
from api.schemas.imports import ImportRequest
from api.schemas.jobs import AcceptedJob, accepted_job
from api.uploads.body import NAME_MAX, safe_name
from core.domain import errors
from core.services.context import Platform
from core.services.jobs.commands import get_job
from core.services.jobs.hub_import import import_set

router = APIRouter(tags=["datasets"])


@router.post(
    "/import-dataset",
    status_code=202,
    response_model=AcceptedJob,
    summary="Import a dataset from a Hugging Face hub",
    responses=problems(errors.HubOff, errors.RequestInFlight, errors.IdempotencyKeyReused),
)
async def import_dataset(
    request: Request, platform: ThePlatform, once: TheOnce, body: ImportRequest, wait: Wait = 0
) -> Response:
    """Images with class labels, by name: a worker fetches parquet files or folders of images at one commit, makes
    folders of classes of them, and prepares those as if they had been uploaded.

    Only the train split is taken unless `splits` says more, and split anew: the official test split of many sets is
    empty or wrong (in `Bingsu/Human_Action_Recognition` everything in it is labelled `calling`). Several splits are
    kept as they are. The commit is in the job's `source` and in `dataset_metadata.json`; the same commit gives the
    same fingerprint. No code of the repository is run.
    """
    answer, job_id = await run_in_threadpool(_import_once, platform, once, body)
    if wait == 0 or job_id is None:
        return answer
    await wait_until_ended(request, platform.db, job_id, seconds=wait)
    row = await run_in_threadpool(get_job, platform.db, job_id, allow_deleted=True)
    return Response(accepted_job(row).model_dump_json(), status_code=202, media_type="application/json")


def _import_once(platform: Platform, once: Once, body: ImportRequest) -> tuple[Response, str | None]:
    """The answer, and the id of the job unless the answer was an earlier one."""
    made: list[str] = []
    name = safe_name(body.name or "") or body.huggingface.rpartition("/")[2]
    asked: dict[str, Any] = {
        "name": name[:NAME_MAX],
        "hub_set": body.hub_set().model_dump(mode="json", exclude_none=True),
        "options": body.options().model_dump(mode="json"),
    }

    def show(row: Any) -> AcceptedJob:
        made[:] = [row.id]
        return accepted_job(row)

    answer = once.answer(lambda on_commit: import_set(platform, **asked, on_commit=on_commit), show, request=asked)
    return answer, made[0] if made else None
