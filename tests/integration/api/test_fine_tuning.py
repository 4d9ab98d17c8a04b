"""Trainings from a version of ours over HTTP."""

import httpx
import pytest

from core.db.tables import RunRow
from core.services.context import Platform
from core.services.runs.commands import list_runs
from core.services.work.leases import claim_row
from tests.builders import published, rows
from tests.servers.api import problem


def test_a_run_and_its_version_name_their_parent(client: httpx.Client, platform: Platform) -> None:
    job = published.ready_job(platform, project="raccoons")
    first = published.version(platform, job.id, b"weights")
    answer = client.post(f"/train-async/{job.id}", json={"params": {"model": "@production"}})
    assert problem(answer, 400, "params-invalid")["errors"][0]["field"] == "params.model"
    client.put(f"/models/{job.id}/aliases/production", json={"version": "v1"}).raise_for_status()
    accepted = client.post(f"/train-async/{job.id}", json={"params": {"model": "@production"}}).json()
    run = client.get(f"/runs/{accepted['run_id']}").json()
    parent = {"name": "raccoons/v1", "version_id": first.id, "links": {"self": "/models/raccoons/v1"}}
    assert (run["parent"], run["params"]["model"]) == (parent, "raccoons/v1")
    assert client.get(parent["links"]["self"]).json()["parent"] is None

    claimed = claim_row(platform.db, RunRow, accepted["run_id"], "w", lease_seconds=60)
    assert claimed is not None
    rows.publish(platform, claimed[0])
    assert client.get("/models/raccoons/v2").json()["parent"] == parent
    assert [item["parent"] for item in client.get("/models/raccoons").json()["items"]] == [parent, None]
    assert [item["parent"] for item in client.get("/runs").json()["items"]] == [parent, None]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("train-async", {"params": {"model": "v7"}}, "params.model"),
        ("train-async", {"params": {"model": "raccoons"}}, "params.model"),
        ("train-async", {"params": {"model": "v1", "pretrained": "never"}}, "params.pretrained"),
        ("baseline", {"model": "nothing/v1"}, "model"),
    ],
)
def test_what_is_no_version_is_named(
    client: httpx.Client, platform: Platform, path: str, body: dict[str, object], field: str
) -> None:
    kind = "classification" if path == "baseline" else "detection"
    job = published.ready_job(platform, kind=kind, project="raccoons")
    assert problem(client.post(f"/{path}/{job.id}", json=body), 400, "params-invalid")["errors"][0]["field"] == field
    assert list_runs(platform.db, cursor=None, limit=1).items == []


def test_a_version_of_another_trainer_is_refused(client: httpx.Client, platform: Platform) -> None:
    boxes = published.ready_job(platform, project="raccoons")
    published.version(platform, boxes.id, b"weights")
    job = published.ready_job(platform, kind="classification", project="birds")
    body = {"trainer": "vit", "params": {"model": "raccoons/v1"}}
    refused = problem(client.post(f"/train-async/{job.id}", json=body), 409, "model-trainer-mismatch")
    assert (refused["model_trainer"], refused["trainer"]) == ("yolo", "vit")
