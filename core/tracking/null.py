"""No tracker: every call is accepted and nothing is stored. The rows are the truth with or without a tracker."""
# ruff: noqa: ARG002 - the arguments are the protocol's

from collections.abc import Mapping, Sequence
from pathlib import Path

from core.tracking import (
    Page,
    Point,
    ProjectCopy,
    Status,
    TrackedDataset,
    TrackedModel,
    TrackedProject,
    TrackedRun,
    TrackedVersion,
)


class NullTracker:
    def open_project(self, project: TrackedProject) -> ProjectCopy:
        return ProjectCopy(project.project_id, project.page.name)

    def begin(self, run: TrackedRun) -> str:
        return run.identity[1]

    def log(self, tracked_id: str, points: Sequence[Point], tags: Mapping[str, str]) -> None:
        return

    def keep(self, tracked_id: str, file: Path, folder: str) -> None:
        return

    def describe(self, tracked_id: str, page: Page) -> None:
        return

    def finish(self, tracked_id: str, status: Status, *, at_ms: int) -> None:
        return

    def begin_model(self, model: TrackedModel) -> str:
        return model.version_id

    def keep_in_model(self, model_id: str, file: Path) -> None:
        return

    def finish_model(
        self, model_id: str, tracked_id: str, points: Sequence[Point], dataset: TrackedDataset | None
    ) -> None:
        return

    def register(self, version: TrackedVersion) -> str:
        return version.page.tags["version"].removeprefix("v")

    def describe_version(self, model: str, name: str, model_id: str | None, page: Page) -> None:
        return

    def alias(self, model: str, alias: str, name: str) -> None:
        return

    def remove_alias(self, model: str, alias: str) -> None:
        return

    def forget_version(self, project: TrackedProject, tracked_id: str, *, with_run: bool) -> None:
        return

    def forget_job(self, project: TrackedProject, job_id: str) -> None:
        return

    def forget_project(self, project: TrackedProject) -> None:
        return
