"""What a project stores, how long it keeps it, and what a purge would delete, over HTTP."""

from typing import Any

import httpx
import pytest

from core.db.tables import RunRow
from core.services.context import Platform
from core.services.models.versions import set_alias
from core.services.work.endings import cancel_attempt
from core.services.work.leases import record_checkpoint
from tests.builders.rows import publish, ready_job, running_run
from tests.servers.api import problem

pytestmark = pytest.mark.usefixtures("database_url")

SLUG = "raccoons"


def read(client: httpx.Client, path: str, **query: Any) -> Any:
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_it_counts_what_a_project_stores(client: httpx.Client, platform: Platform) -> None:
    first, _second = ready_job(platform, project=SLUG), ready_job(platform, project=SLUG)
    ready_job(platform)  # of another project, with the same images
    run = running_run(platform, first.id)
    record_checkpoint(platform.db, RunRow, run, key="runs/c", epoch=1, sha256="5" * 64, size=7)
    publish(platform, run)

    found = read(client, f"/projects/{SLUG}/storage")

    stored = {each["kind"]: (each["count"], each["bytes"], each["shared_bytes"]) for each in found["stored"]}
    assert {kind: each for kind, each in stored.items() if each[0]} == {
        "sources": (2, 20, 0),
        "prepared_sets": (1, 3, 3),
        "weights": (1, 5, 0),
        "checkpoints": (1, 7, 0),
    }
    assert found["bytes"] == 35
    freeable = {each["kind"]: (each["count"], each["bytes"]) for each in found["freeable"]}
    assert freeable["sources"] == (1, 10) and freeable["checkpoints"] == (1, 7) and freeable["versions"] == (0, 0)
    assert found["freeable_bytes"] == 17
    assert found["retention"]["source_days"] == platform.settings.keep_source_days
    assert found["links"]["purge"] == f"/projects/{SLUG}/purge"
    problem(client.get("/projects/nowhere/storage"), 404, "project-not-found")


def test_retention_is_a_setting_of_the_project(client: httpx.Client, platform: Platform) -> None:
    ready_job(platform, project=SLUG)
    path, wanted = f"/projects/{SLUG}", {"source_days": 365.0, "version_days": 90.0, "keep_versions": 3}

    changed = client.patch(path, json={"settings": {"retention": wanted}}).json()
    assert wanted.items() <= changed["settings"]["retention"].items()
    assert client.patch(path, json={"title": "Raccoons"}).json()["settings"] == changed["settings"]
    in_effect = read(client, f"{path}/storage")["retention"]
    assert wanted.items() <= in_effect.items() and in_effect["checkpoint_days"] == 7

    for wrong in ({"source_days": -1}, {"source_hours": 1}, {"keep_versions": 0}):
        problem(client.patch(path, json={"settings": {"retention": wrong}}), 400, "request-invalid")
    assert client.patch(path, json={"settings": {"retention": None}}).json()["settings"] == {}
    assert read(client, f"{path}/storage")["retention"]["source_days"] == 30


def test_a_dry_run_lists_everything_in_pages_and_changes_nothing(client: httpx.Client, platform: Platform) -> None:
    jobs = [ready_job(platform, project=SLUG) for _ in range(3)]
    for job in jobs:
        publish(platform, running_run(platform, job.id))
    cancelled = running_run(platform, jobs[0].id)
    record_checkpoint(platform.db, RunRow, cancelled, key="runs/c", epoch=1, sha256="5" * 64)
    client.post(f"/runs/{cancelled.id}/cancel")
    cancel_attempt(platform.db, RunRow, cancelled)
    set_alias(platform.db, SLUG, "production", version="v2")
    path = f"/projects/{SLUG}/purge"

    whole = client.post(path, json={"keep_versions": 1}).json()
    items = [(each["kind"], each["name"], each["bytes"]) for each in whole["items"]]
    assert items == [
        ("versions", f"{SLUG}/v1", 5),
        ("sources", f"{SLUG}/d1", 10),
        ("sources", f"{SLUG}/d2", 10),
        ("checkpoints", None, None),
    ]
    assert (whole["dry_run"], whole["operation"], whole["count"], whole["bytes"]) == (True, None, 4, 25)
    page, found = client.post(f"{path}?limit=2", json={"keep_versions": 1}).json(), []
    while page["next_cursor"]:
        found += page["items"]
        page = client.post(f"{path}?limit=2&cursor={page['next_cursor']}", json={"keep_versions": 1}).json()
    assert [*found, *page["items"]] == whole["items"]
    assert client.post(path).json()["count"] == 3, "of three versions the newest ten stay"
    assert client.post(path, json={"older_than_days": 1}).json()["count"] == 0
    assert client.post(path, json={"kinds": ["bundles"]}).json()["items"] == []
    problem(client.post(f"{path}?cursor=x"), 400, "cursor-invalid")
    assert client.post(path, json={"keep_versions": 1}).json()["items"] == whole["items"]


def test_a_purge_is_an_operation_and_names_what_it_deletes(client: httpx.Client, platform: Platform) -> None:
    ready_job(platform, project=SLUG)
    ready_job(platform, project=SLUG)
    path = f"/projects/{SLUG}/purge"
    unnamed = client.post(path, json={"dry_run": False})
    assert unnamed.status_code == 400 and "kinds" in unnamed.json()["detail"]

    body, key = {"dry_run": False, "kinds": ["sources"]}, {"idempotency-key": "once"}
    answer = client.post(path, json=body, headers=key)
    assert answer.status_code == 202, answer.text
    purge = answer.json()
    assert (purge["dry_run"], purge["count"], purge["operation"]["kind"]) == (False, 1, "purge")
    again = client.post(path, json=body, headers=key)
    assert (again.status_code, again.json()) == (202, purge)
    assert [each["operation_id"] for each in read(client, "/operations", kind="purge")["items"]] == [
        purge["operation"]["operation_id"]
    ]
