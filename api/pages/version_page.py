"""What every page of a model version has: its head, its tabs, the evaluations that it may be looked at by."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.schemas.evaluations import Evaluation, evaluation_of
from api.schemas.models import version_json
from api.schemas.operations import Operation, operation_of
from core.db.tables import EvaluationRow, JobRow, TestSetRow, VersionRow
from core.domain.errors import RequestInvalid
from core.domain.model_names import PRODUCTION, dataset_name, version_name
from core.domain.states import RunState
from core.services.context import Platform
from core.services.jobs.commands import get_job
from core.services.models.evaluation_overviews import evaluation_overviews
from core.services.models.evaluations import list_evaluations
from core.services.models.versions import aliases_of, find_version, list_versions
from core.services.operations.commands import list_operations
from core.services.operations.kinds import EVALUATE
from core.services.projects.test_sets import find_test_set
from core.services.views import version_overviews

EVALUATIONS = 50  # the newest, of one version
OTHERS = 20  # versions that it may be compared with
OPERATIONS = 50  # the newest evaluations of a project, of which those of a version are listed
FAILED = 5


ChosenEvaluation = tuple[Evaluation, EvaluationRow]


@dataclass(frozen=True, slots=True)
class VersionPage:
    """`version`: the JSON of a ModelVersion. `dataset`: that it was trained on, None of an imported one.

    `aliases`: the numbers of the versions that those of the project point at. `evaluating`: what evaluates the version,
    or an export of it, now; `not_evaluated`: what failed to, newest first.
    """

    row: VersionRow
    version: dict[str, Any]
    kind: str
    base: str
    dataset: JobRow | None
    frozen: TestSetRow | None
    evaluations: Sequence[Evaluation]
    rows: Sequence[EvaluationRow]
    others: Sequence[VersionRow]
    aliases: Mapping[str, int]
    evaluating: Sequence[Operation]
    not_evaluated: Sequence[Operation]

    @property
    def name(self) -> str:
        return version_name(self.row.project, self.row.number)

    @property
    def dataset_name(self) -> str:
        return dataset_name(self.dataset.project, self.dataset.revision) if self.dataset else ""

    @property
    def own(self) -> list[Evaluation]:
        """Evaluations of the version itself rather than of an export, the newest first."""
        return [each for each in self.evaluations if each.export_id is None]

    @property
    def production(self) -> int | None:
        """The number of the version that `production` points at."""
        return self.aliases.get(PRODUCTION)

    @property
    def own_evaluating(self) -> Operation | None:
        """Of the version itself."""
        return next((each for each in self.evaluating if not each.params.get("export_id")), None)

    def chosen(self, evaluation_id: str | None) -> ChosenEvaluation | None:
        """The evaluation with this id; else the one on the frozen test set, on the own test split, or the newest.

        Raises RequestInvalid for an id that is not of this version.
        """
        rows = {row.id: row for row in self.rows}
        if evaluation_id:
            for each in self.own:
                if each.evaluation_id == evaluation_id:
                    return each, rows[each.evaluation_id]
            raise RequestInvalid(f"{self.name} has no evaluation {evaluation_id[:80]}.")
        ranked = sorted(self.own, key=self._rank)  # stable: the newest of each rank first
        return (ranked[0], rows[ranked[0].evaluation_id]) if ranked else None

    def is_frozen(self, evaluation: Evaluation) -> bool:
        return self.frozen is not None and (evaluation.fingerprint, evaluation.split) == (
            self.frozen.fingerprint,
            "test",
        )

    def _rank(self, evaluation: Evaluation) -> int:
        if self.is_frozen(evaluation):
            return 0
        return 1 if (evaluation.fingerprint, evaluation.split) == (self.row.fingerprint, "test") else 2


def version_page(platform: Platform, project: str, number: str) -> VersionPage:
    """Raises ProjectNotFound, ProjectRenamed, VersionNotFound, Gone."""
    db = platform.db
    row = find_version(db, project, version=number)
    (overview,) = version_overviews(db, [row])
    version = json.loads(version_json(overview, mlflow_link=platform.settings.mlflow_link))
    dataset = get_job(db, row.job_id, allow_deleted=True) if row.job_id else None
    rows = list_evaluations(db, cursor=None, limit=EVALUATIONS, version_id=row.id).items
    others = list_versions(db, cursor=None, limit=OTHERS + 1, ref=row.project, whole=False).items
    operations = _operations_on(platform, row)
    return VersionPage(
        row=row,
        version=version,
        kind=_kind(version, dataset),
        base=f"/ui/projects/{row.project}/versions/{row.number}",
        dataset=dataset,
        frozen=find_test_set(db, row.project_id),
        evaluations=[evaluation_of(each) for each in evaluation_overviews(db, rows)],
        rows=rows,
        aliases={each.alias: each.number for each in aliases_of(db, row.project_id)},
        others=[each for each in others if each.id != row.id][:OTHERS],
        evaluating=[each for each in operations if each.finished_at is None],
        not_evaluated=[each for each in operations if each.state == RunState.FAILED][:FAILED],
    )


def _operations_on(platform: Platform, row: VersionRow) -> list[Operation]:
    found = list_operations(platform.db, cursor=None, limit=OPERATIONS, kind=EVALUATE, project=row.project_id).items
    mine = [each for each in found if each.params["version_id"] == row.id]
    return [operation_of(each, {row.project_id: row.project}) for each in mine]


def _kind(version: dict[str, Any], dataset: JobRow | None) -> str:
    """Of an imported version by its figures: only a classifier has an accuracy."""
    if dataset is not None and dataset.kind:
        return dataset.kind
    measured = [each for each in version["metrics"].values() if isinstance(each, dict)]
    is_classifier = version["trainer"] in ("vit", "clip") or any("accuracy" in each for each in measured)
    return "classification" if is_classifier else "detection"
