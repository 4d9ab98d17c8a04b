"""Addresses of projects and aliases at their edges: encoded, half empty, by the id of a job that is not meant."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from core.services.context import Platform, open_platform
from core.settings import Settings
from tests.builders import published
from tests.integration.api.test_projects import ZIP
from tests.servers.api import problem, serving

ENCODED = {
    "/models%2Fraccoons": "/models/foxes",
    "/models/raccoons%2Fv1": "/models/foxes/v1",
    "/projects%2Fraccoons%2Fruns?limit=1": "/projects/foxes/runs?limit=1",
    "/models/raccoons/v1%0D%0AX": "/models/foxes/v1%0D%0AX",
}


@pytest.fixture
def each_client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[httpx.Client]:
    """Over the database of the fixture that its parameter names."""
    url: str = request.getfixturevalue(request.param)
    platform = open_platform(Settings(home=tmp_path / "each", database_url=url))
    with serving(platform) as client:
        yield client
    platform.db.close()


@pytest.mark.parametrize("old", ENCODED)
def test_an_encoded_path_is_redirected_too(client: httpx.Client, old: str) -> None:
    client.post("/projects", json={"project": "raccoons"})
    client.patch("/projects/raccoons", json={"project": "foxes"})
    answer = client.get(old)
    problem(answer, 308, "project-renamed")
    assert answer.headers["location"] == ENCODED[old]


def test_a_download_without_a_number_may_change(client: httpx.Client, platform: Platform) -> None:
    published.version(platform, published.ready_job(platform, project="raccoons").id, b"one")
    answer = client.get("/download/model/raccoons?version=")
    assert (answer.content, answer.headers["cache-control"]) == (b"one", "private, no-cache")
    numbered = client.get("/download/model/raccoons?version=v1")
    assert "immutable" in numbered.headers["cache-control"]


def test_the_id_of_a_job_is_no_project(client: httpx.Client, platform: Platform) -> None:
    job = published.ready_job(platform, project="raccoons")
    for path in ("/models", "/jobs", "/runs", "/operations"):
        problem(client.get(f"{path}?project={job.id}"), 404, "project-not-found")


@pytest.mark.parametrize("each_client", ["sqlite_url", "postgres_copy"], indirect=True)
def test_a_nul_in_a_field_is_refused(each_client: httpx.Client) -> None:
    file = {"file": ("data.zip", ZIP)}
    each_client.post("/projects", json={"project": "raccoons"})
    for path, field in (("/upload-dataset", "project"), ("/projects/raccoons/versions", "dataset")):
        answer = each_client.post(path, files=file, data={field: "a\0b"})
        assert problem(answer, 400, "request-invalid")["errors"][0]["field"] == field
    sent = {"tus-resumable": "1.0.0", "upload-length": "9", "upload-metadata": "project YQBi"}
    problem(each_client.post("/uploads", headers=sent), 400, "request-invalid")


def test_an_empty_title_is_the_name(client: httpx.Client) -> None:
    client.post("/projects", json={"project": "raccoons", "title": "The yard"})
    assert client.patch("/projects/raccoons", json={"title": ""}).json()["title"] == "raccoons"
    assert client.patch("/projects/raccoons", json={"title": "", "project": "foxes"}).json()["title"] == "foxes"


def test_by_a_job_an_alias_of_another_job_is_named_and_its_links_lead_there(
    client: httpx.Client, platform: Platform
) -> None:
    first, second = (published.ready_job(platform, project="raccoons") for _ in range(2))
    published.version(platform, first.id, b"one")
    published.version(platform, second.id, b"two")
    client.put("/projects/raccoons/aliases/production", json={"version": "v1"})
    path = f"/models/{second.id}/aliases/production"
    mine = client.put(path, json={"version": "v2"}).json()
    assert mine["links"]["version"] == f"/models/{second.id}/v2"

    rolled_back = client.post(f"{path}/rollback").json()
    assert (rolled_back["name"], client.get(path).json()["links"]) == ("raccoons/v1", rolled_back["links"])
    assert client.get(rolled_back["links"]["version"]).json()["name"] == "raccoons/v1"
    assert client.get(rolled_back["links"]["download"]).content == b"one"
    refused = problem(client.get(f"/download/model/{second.id}?alias=production"), 409, "alias-elsewhere")
    assert (refused["name"], refused["project"], refused["job_id"]) == ("raccoons/v1", "raccoons", first.id)
    problem(client.get(f"/models/{second.id}/v1"), 404, "version-not-found")
    assert client.get(f"/models/{second.id}").json()["aliases"] == []
