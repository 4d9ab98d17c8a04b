"""Schema 0012 adds tables and columns for datasets that grow, and changes no row; on SQLite and on PostgreSQL."""

from copy import deepcopy

import pytest
from sqlalchemy import update

from core import clock
from core.db.migrate import downgrade, drift, upgrade
from core.db.tables import CorrectionRow, JobRow
from core.services.context import Platform
from tests.builders import lineage
from tests.builders.migrated import all_rows, schema_of, take_growth


def test_rows_of_schema_0011_stay_as_they_are_in_both_directions(platform: Platform, database_url: str) -> None:
    lineage.history(platform)
    platform.db.close()
    rows, schema = all_rows(database_url), schema_of(database_url)
    downgrade(database_url, "0011")
    before, wanted = all_rows(database_url), deepcopy(rows)
    take_growth(wanted)
    assert before == wanted and len(before["versions"]) > 10
    upgrade(database_url)
    assert (all_rows(database_url), schema_of(database_url)) == (rows, schema)
    assert drift(database_url) == []


@pytest.mark.parametrize("what", ["rows of corrections", "jobs.extension"])
def test_a_downgrade_refuses_what_has_no_place_and_changes_nothing(
    platform: Platform, database_url: str, what: str
) -> None:
    job = lineage.dataset(platform, "first")
    at = clock.now()
    with platform.db.transaction() as session:
        if what == "jobs.extension":
            session.execute(update(JobRow).where(JobRow.id == job.id).values(extension={"remove": 1}))
        else:
            session.add(
                CorrectionRow(
                    id="correction_1", job_id=job.id, project_id=job.project_id, image="a.jpg", image_sha256="0" * 64,
                    change={}, author="ann", note="", created_at=at, updated_at=at,
                )
            )  # fmt: skip
    platform.db.close()
    before, schema = all_rows(database_url), schema_of(database_url)
    with pytest.raises(RuntimeError, match=rf"{what}; nothing was changed"):
        downgrade(database_url, "0011")
    assert (all_rows(database_url), schema_of(database_url)) == (before, schema)
