"""Schema 0010 adds the tables of what is made of versions, and changes no row; on SQLite and on PostgreSQL."""

import pytest

from core.db.migrate import downgrade, drift, upgrade
from core.services.context import Platform
from tests.builders import lineage
from tests.builders.exports import export
from tests.builders.migrated import BATCHES, all_rows, schema_of

pytestmark = pytest.mark.slow  # of a released schema; `make test` covers the newest ones
NEW = ("bundles", "evaluation_artifacts", "evaluations", "exports", *BATCHES)


def test_rows_of_schema_0009_stay_as_they_are_in_both_directions(platform: Platform, database_url: str) -> None:
    lineage.history(platform)
    platform.db.close()
    rows, schema = all_rows(database_url), schema_of(database_url)
    assert len(rows["versions"]) > 10
    downgrade(database_url, "0011")
    rows_0011, schema_0011 = all_rows(database_url), schema_of(database_url)
    downgrade(database_url, "0009")
    assert all_rows(database_url) == {table: each for table, each in rows_0011.items() if table not in NEW}
    assert schema_of(database_url) == {table: each for table, each in schema_0011.items() if table not in NEW}
    upgrade(database_url)
    assert (all_rows(database_url), schema_of(database_url)) == (rows, schema)
    assert drift(database_url) == []


def test_a_downgrade_refuses_while_there_are_exports_and_changes_nothing(platform: Platform, database_url: str) -> None:
    export(platform, lineage.version(platform, lineage.dataset(platform, "first").id, 0.9))
    platform.db.close()
    before, schema = all_rows(database_url), schema_of(database_url)
    with pytest.raises(RuntimeError, match=r"rows of exports; nothing was changed"):
        downgrade(database_url, "0009")
    assert (all_rows(database_url), schema_of(database_url)) == (before, schema)
