"""Schema 0016 adds what workers compute on; on SQLite and on PostgreSQL."""

from copy import deepcopy

from core.db.migrate import downgrade, drift, upgrade
from core.services.context import Platform
from core.services.work.locks import note_worker
from tests.builders.migrated import all_rows, schema_of, take_devices


def test_workers_stay_and_report_again_what_they_compute_on(platform: Platform, database_url: str) -> None:
    note_worker(platform.db, "a:1", "train", {"processor": "", "cores": 2, "gpus": [], "engines": []})
    platform.db.close()
    rows, schema = all_rows(database_url), schema_of(database_url)
    assert '"cores": 2' in str(rows["workers"][0]["devices"]).replace("'", '"')
    downgrade(database_url, "0015")
    before, wanted = all_rows(database_url), deepcopy(rows)
    take_devices(wanted)
    assert before == wanted
    upgrade(database_url)
    rows["workers"][0]["devices"] = None
    assert (all_rows(database_url), schema_of(database_url)) == (rows, schema)
    assert drift(database_url) == []
