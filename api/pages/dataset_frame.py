"""What each page of a dataset has: its name, its project, its tabs."""

from collections.abc import Mapping
from typing import Any

from api.schemas.jobs import job_item
from core.db.tables import JobRow
from core.domain.model_names import dataset_name
from core.services.context import Platform
from core.services.projects.commands import get_project


def dataset_frame(platform: Platform, row: JobRow) -> dict[str, Any]:
    return {
        "nav": "projects",
        "job": job_item(row),
        "name": dataset_name(row.project, row.revision),
        "project": get_project(platform.db, row.project_id),
        "totals": finding_totals(row.findings or {}),
    }


def finding_totals(counts: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """By severity."""
    found = {"error": 0, "warning": 0, "note": 0}
    for entry in counts.values():
        found[entry["severity"]] += entry["count"]
    return found
