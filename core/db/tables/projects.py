"""Projects: each a line of models over many datasets."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, ScalarSelect, String, Text, false, select
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import LIVING, Base, index_of


class ProjectRow(Base):
    """A line of work: datasets of one kind, d1, d2, ..., and the model versions trained on them, v1, v2, ..."""

    __tablename__ = "projects"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    slug: Mapped[str] = mapped_column(String(64))  # the current one; ProjectSlugRow has those before, too
    title: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(Text, server_default="")
    kind: Mapped[str | None] = mapped_column(String(40))  # that of the first of its datasets that was ready
    implicit: Mapped[bool] = mapped_column(server_default=false())  # of one upload that named no project
    settings: Mapped[dict[str, Any]]
    own_retention: Mapped[bool] = mapped_column(server_default=false())  # its settings have `retention`
    last_revision: Mapped[int] = mapped_column(default=0)  # d1, d2, ...: the newest number of a job
    last_version: Mapped[int] = mapped_column(default=0)  # v1, v2, ...: the newest number of a version
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]  # when its names or its description were changed
    active_at: Mapped[datetime | None]  # when a dataset, a version or an alias of it last changed
    deleted_at: Mapped[datetime | None]
    erased_at: Mapped[datetime | None]  # when what a person wrote of it was deleted
    mlflow_experiment_id: Mapped[str | None] = mapped_column(String(64))
    mlflow_name: Mapped[str | None] = mapped_column(String(100))  # of its experiment and its registered model
    mlflow_updated_at: Mapped[datetime | None]  # the `updated_at` that MLflow has; None: it has no copy
    mlflow_refused: Mapped[str | None] = mapped_column(Text)  # why MLflow rejected the last call about it
    __table_args__ = (
        index_of(LIVING, "ix_projects_living_id", "id"),
        index_of(f"{LIVING} AND implicit = false", "ix_projects_living_named_id", "id"),
        index_of(f"{LIVING} AND mlflow_updated_at != updated_at", "ix_projects_to_update_in_mlflow", "id"),
        index_of("deleted_at IS NOT NULL AND mlflow_name IS NOT NULL", "ix_projects_to_delete_in_mlflow", "id"),
        index_of("mlflow_refused IS NOT NULL", "ix_projects_refused_by_mlflow", "id"),
        index_of(f"{LIVING} AND own_retention = true", "ix_projects_own_retention", "id"),
        index_of("deleted_at IS NOT NULL AND erased_at IS NULL", "ix_projects_to_erase", "id"),
        Index("ix_projects_updated_at", "updated_at"),
        Index("ix_projects_active_at", "active_at"),
    )


class ProjectSlugRow(Base):
    """Every slug that was ever given: the one of before a renaming leads to the project, and none is given again."""

    __tablename__ = "project_slugs"
    slug: Mapped[str] = mapped_column(String(64), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), index=True)


def slug_of(project_id: Mapped[str]) -> ScalarSelect[str]:
    """The slug of a project, read with each row that belongs to it: as it was when that row was read."""
    return select(ProjectRow.slug).where(ProjectRow.id == project_id).correlate_except(ProjectRow).scalar_subquery()
