"""The evaluation that a trained version gets by itself: its pages list the images behind its figures from the start.

It is of the images by which the version is compared with others: the frozen test set, else the test split of what it
was trained on, else val.
"""

import structlog
from sqlalchemy.orm import Session

from core.db.tables import VersionRow
from core.domain.errors import DarkroomError
from core.services.models.evaluations import EvaluationRequest, plan_evaluation
from core.services.operations.automatic import ON_PUBLISH
from core.services.operations.commands import add_operation
from core.services.operations.kinds import EVALUATE
from core.services.projects.test_sets import current_test_set

log = structlog.get_logger(__name__)


def add_first_evaluation(session: Session, version: VersionRow) -> str | None:
    """In the transaction that publishes the version, which has locked its project: the test set stays.

    The id of the operation, for `enqueue_operation`. None for an imported version, and without images to evaluate on.
    """
    request = _request(session, version)
    if request is None:
        return None
    try:
        plan = plan_evaluation(session, request, version=version)
    except DarkroomError as error:  # the version is published all the same
        log.warning("evaluation.not_queued", version_id=version.id, slug=error.slug, detail=error.detail)
        return None
    params = plan.params | {ON_PUBLISH: True}
    owners = {"project_id": version.project_id, "job_id": plan.params["job_id"]}
    operation, _ = add_operation(session, EVALUATE, params, **owners, target=plan.target)
    return operation.id


def _request(session: Session, version: VersionRow) -> EvaluationRequest | None:
    if version.job_id is None:
        return None
    frozen = current_test_set(session, version.project_id)
    if frozen is not None:
        return EvaluationRequest(dataset=frozen.job_id)
    split = next((name for name in ("test", "val") if version.metrics.get(name)), None)
    return None if split is None else EvaluationRequest(dataset=version.job_id, split=split)
