"""Two versions of a project on its frozen test set, over HTTP."""

import httpx

from core import clock
from core.db.tables import TestSetRow
from core.services.context import Platform
from core.services.operations.commands import get_operation
from tests.builders import rows
from tests.builders.evaluated import claimed, published
from tests.builders.published import ready_job
from tests.servers.api import problem

FIRST = {"mAP50": 0.6, "mAP50-95": 0.4, "intervals": {"mAP50": [0.5, 0.7]}, "seen": {"known": True, "images": 0}}
SECOND = {"mAP50": 0.75, "mAP50-95": None, "seen": {"known": True, "images": 2}}


def test_two_versions_are_compared_on_the_frozen_test_set(platform: Platform, client: httpx.Client) -> None:
    job = ready_job(platform, project="yard")
    for epochs in (10, 20):
        claim = rows.running_run(platform, job.id)
        version = rows.publish(platform, claim)
        with platform.db.transaction() as session:
            session.merge(version).params = {"epochs": epochs, "model": "yolov8n"}
    query = {"a": "v1", "b": "v2"}
    assert "test-set" in problem(client.get("/projects/yard/compare", params=query), 409, "no-test-set")["detail"]
    _freeze(platform, job.id, job.project_id, str(job.fingerprint))

    waits = client.get("/projects/yard/compare", params=query)
    operations = [each["operation_id"] for each in waits.json()["operations"]]
    assert (waits.status_code, len(operations), waits.json()["figures"]) == (202, 2, [])
    again = client.get("/projects/yard/compare", params=query).json()["operations"]
    assert [each["operation_id"] for each in again] == operations
    for operation_id, metrics in zip(operations, (FIRST, SECOND), strict=True):
        published(platform, claimed(platform, operation_id), metrics)
        assert get_operation(platform.db, operation_id).state == "succeeded"

    answer = client.get("/projects/yard/compare", params=query)
    found = answer.json()
    assert (answer.status_code, found["generation"], found["dataset"], found["operations"]) == (200, 1, "yard/d1", [])
    figures = {each["metric"]: (each["first"], each["second"], each["change"]) for each in found["figures"]}
    assert (figures["mAP50"], figures["mAP50-95"]) == ((0.6, 0.75, 0.15), (0.4, None, None))
    assert found["figures"][0]["first_interval"] == [0.5, 0.7]
    assert found["params"] == {"epochs": {"first": 10, "second": 20}}
    assert (found["second"]["seen"]["images"], found["second"]["leak"]) == (2, None)
    named = client.get("/projects/yard/compare", params={**query, "job_id": "d1", "split": "val"})
    assert (named.status_code, named.json()["generation"], named.json()["split"]) == (202, None, "val")
    problem(client.get("/projects/yard/compare", params={"a": "v1", "b": "v9"}), 404, "version-not-found")


def _freeze(platform: Platform, job_id: str, project_id: str, fingerprint: str) -> None:
    row = TestSetRow(
        project_id=project_id,
        generation=1,
        job_id=job_id,
        fingerprint=fingerprint,
        images=10,
        key="test_sets/1",
        bytes=1,
        sha256="a" * 64,
        created_at=clock.now(),
    )
    with platform.db.transaction() as session:
        session.add(row)
