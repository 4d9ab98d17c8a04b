"""Projects over HTTP: what an upload joins, how a project is listed, renamed and deleted, and its line of models."""

import base64

import httpx

from core.db.tables import JobRow
from core.services.context import Platform
from core.services.runs.commands import get_run
from tests.builders import published, rows
from tests.servers.api import problem

ZIP = b"PK\x05\x06" + b"\0" * 18


def upload(client: httpx.Client, project: str | None = None, **headers: str) -> httpx.Response:
    query = {"project": project} if project else {}
    sent = {"content-type": "application/zip"} | headers
    return client.post("/upload-dataset", params={"name": "yard"} | query, content=ZIP, headers=sent)


def ready_dataset(platform: Platform, project: str) -> JobRow:
    return published.ready_job(platform, project=project)


def test_an_upload_joins_the_project_that_it_names_or_has_one_of_its_own(
    client: httpx.Client, platform: Platform
) -> None:
    alone = upload(client).json()
    assert client.get("/projects").json()["items"] == []
    own = client.get(f"/projects/{alone['project']}").json()
    assert (own["implicit"], own["datasets"], own["title"]) == (True, 1, "yard")
    assert [each["project"] for each in client.get("/projects?implicit=true").json()["items"]] == [alone["project"]]
    problem(upload(client, alone["project"]), 409, "project-is-implicit")

    first = upload(client, "raccoons").json()
    form = {"files": {"file": ("yard.zip", ZIP)}, "data": {"project": "raccoons"}}
    second = client.post("/upload-dataset", **form).json()
    assert [each["dataset"] for each in (first, second)] == ["raccoons/d1", "raccoons/d2"]
    job = client.get(f"/jobs/{second['job_id']}").json()
    assert (job["project"], job["dataset"], job["revision"], job["parent_job_id"]) == (
        "raccoons",
        "raccoons/d2",
        2,
        None,
    )
    problem(upload(client, "Raccoons!"), 422, "slug-invalid")

    for path in ("/projects/raccoons/datasets", "/jobs?project=raccoons"):
        assert [each["revision"] for each in client.get(path).json()["items"]] == [2, 1]
    assert client.get(f"/jobs?project={own['project_id']}").json()["items"][0]["job_id"] == alone["job_id"]
    problem(client.get("/jobs?project=nothing"), 404, "project-not-found")
    problem(client.get(f"/projects/{alone['job_id']}/aliases"), 404, "project-not-found")


def test_a_key_belongs_to_the_project_too(client: httpx.Client) -> None:
    key = {"idempotency-key": "k"}
    first = upload(client, "raccoons", **key)
    assert upload(client, "raccoons", **key).json() == first.json()
    problem(upload(client, "foxes", **key), 422, "idempotency-key-reused")
    problem(upload(client, **key), 422, "idempotency-key-reused")
    created = client.post("/projects", json={"project": "owls"}, headers=key)
    assert created.status_code == 201 and created.json()["title"] == "owls"
    again = client.post("/projects", json={"project": "owls"}, headers=key)
    assert again.json() == created.json() and again.headers["idempotency-replayed"] == "true"
    problem(client.post("/projects", json={"project": "owls"}), 409, "project-exists")


def test_a_list_shows_counts_activity_and_what_production_is(client: httpx.Client, platform: Platform) -> None:
    job = ready_dataset(platform, "raccoons")
    published.version(platform, job.id, b"one")
    second = published.version(platform, job.id, b"two")
    client.put("/projects/raccoons/aliases/production", json={"version": "v1"})
    rows.queued_run(platform, job.id)
    upload(client, "raccoons")
    client.post("/projects", json={"project": "foxes", "description": "Red ones."})
    foxes, raccoons = client.get("/projects").json()["items"]
    assert (foxes["datasets"], foxes["production"], foxes["description"]) == (0, None, "Red ones.")
    assert [raccoons[name] for name in ("kind", "datasets", "runs", "versions")] == ["detection", 2, 3, 2]
    assert raccoons["production"]["name"] == "raccoons/v1"
    split = second.metrics["test"]
    assert raccoons["production"]["metrics"] == {"mAP50": split["mAP50"]}
    newest = client.get("/jobs?limit=1").json()["items"][0]["created_at"]
    assert raccoons["last_activity_at"][:19] == newest[:19]
    assert client.get("/projects/raccoons").json() == raccoons
    assert raccoons["links"]["lineage"] == "/projects/raccoons/lineage"
    assert raccoons["links"]["matrix"] == "/projects/raccoons/evaluations/matrix"
    aliases = client.get("/projects/raccoons/aliases").json()["items"]
    for path in [
        *raccoons["links"].values(),
        *aliases[0]["links"].values(),
        client.get("/").json()["links"]["projects"],
    ]:
        assert client.get(path).status_code == 200, path

    version = client.get("/projects/raccoons/models").json()["items"][0]
    assert (version["project"], version["name"], version["origin"], version["parent"]) == (
        "raccoons",
        "raccoons/v2",
        "run",
        None,
    )
    assert client.get("/models?project=raccoons").json() == client.get("/projects/raccoons/models").json()
    runs = client.get("/projects/raccoons/runs").json()
    assert runs == client.get("/runs?project=raccoons").json() and {each["project"] for each in runs["items"]} == {
        "raccoons"
    }
    queued = client.get("/projects/raccoons/runs?state=queued").json()["items"]
    assert [each["state"] for each in queued] == ["queued"]
    problem(client.get(f"/models?project=raccoons&job_id={job.id}"), 400, "request-invalid")
    for ref in ("raccoons", job.id):
        assert client.get(f"/models/{ref}").json()["project"] == "raccoons"
        downloaded = client.get(f"/download/model/{ref}?version=v1")
        assert downloaded.headers["content-disposition"].startswith('attachment; filename="raccoons-v1-best.pt"')


def test_an_alias_is_the_same_by_the_project_and_by_its_job(client: httpx.Client, platform: Platform) -> None:
    job = ready_dataset(platform, "raccoons")
    for content in (b"one", b"two"):
        published.version(platform, job.id, content)
    client.put("/projects/raccoons/aliases/production", json={"version": "v1"})
    client.put(f"/models/{job.id}/aliases/production", json={"version": "v2"})
    assert [each["alias"] for each in client.get("/projects/raccoons/aliases").json()["items"]] == ["production"]
    path = "/projects/raccoons/aliases/production"
    rolled_back = client.post(f"{path}/rollback", headers={"idempotency-key": "k"}).json()
    assert rolled_back == client.post(f"{path}/rollback", headers={"idempotency-key": "k"}).json()
    assert (rolled_back["name"], rolled_back["links"]["self"]) == ("raccoons/v1", path)
    assert client.get(f"/models/{job.id}/aliases/production").json()["history"] == rolled_back["history"]
    assert client.get("/download/model/raccoons").content == b"one"
    assert client.delete(path).status_code == 204
    problem(client.get(path), 404, "alias-not-found")
    assert client.get("/download/model/raccoons").content == b"two", "without production the latest"


def test_the_old_name_of_a_project_leads_to_the_new_one(client: httpx.Client, platform: Platform) -> None:
    published.version(platform, ready_dataset(platform, "raccoons").id, b"one")
    client.put("/projects/raccoons/aliases/raccoons", json={"version": "v1"})
    renamed = client.patch("/projects/raccoons", json={"project": "foxes"}).json()
    assert (renamed["project"], renamed["title"]) == ("foxes", "foxes")
    for old, new in RENAMED.items():
        answer = client.get(old)
        assert problem(answer, 308, "project-renamed")["project"] == "foxes"
        assert (answer.headers["location"], answer.headers["cache-control"]) == (new, "no-store")
        followed = client.get(old, follow_redirects=True)
        assert followed.status_code == 200 and followed.content == client.get(new).content, old
    sent = {"json": {"version": "v1"}, "follow_redirects": True}
    assert client.put("/models/raccoons/aliases/production", **sent).json()["version"] == "v1"


def test_a_project_is_renamed_while_it_is_used(client: httpx.Client, platform: Platform) -> None:
    alone = upload(client).json()
    begun = tus(client, project="yard")
    upload(client, "yard")
    client.patch("/projects/yard", json={"project": "garden", "title": "The garden"})
    assert upload(client, "yard").json()["dataset"] == "garden/d2"
    finished = client.patch(begun, content=ZIP, headers=CHUNK).headers["darkroom-job-id"]
    assert client.get(f"/jobs/{finished}").json()["dataset"] == "garden/d3"
    problem(client.post("/projects", json={"project": "yard"}), 409, "project-exists")
    problem(client.patch("/projects/garden", json={"project": "v3"}), 422, "slug-invalid")

    renamed = client.patch(f"/projects/{alone['project']}", json={"project": "attic"}).json()
    assert (renamed["implicit"], renamed["title"]) == (False, "yard")
    assert upload(client, "attic").json()["dataset"] == "attic/d2"
    assert [each["project"] for each in client.get("/projects").json()["items"]] == ["garden", "attic"]
    problem(client.patch("/projects/attic", json={"project": "yard"}), 409, "project-exists")
    back = client.patch("/projects/garden", json={"project": "yard"}).json()
    assert (back["project"], client.get("/projects/garden").headers["location"]) == ("yard", "/projects/yard")


def test_a_project_in_use_is_not_deleted_and_a_deleted_one_is_gone_for_ever(
    client: httpx.Client, platform: Platform
) -> None:
    job = ready_dataset(platform, "raccoons")
    published.version(platform, job.id, b"one")
    client.put("/projects/raccoons/aliases/production", json={"version": "v1"})
    begun = tus(client, project="raccoons")
    assert problem(client.delete("/projects/raccoons?cancel=true"), 409, "project-in-use")["aliases"] == ["production"]
    client.delete("/projects/raccoons/aliases/production")
    waiting, run = upload(client, "raccoons").json()["job_id"], rows.running_run(platform, job.id)
    refused = problem(client.delete("/projects/raccoons"), 409, "project-in-use")
    assert refused["work"] == [waiting, run.id]

    assert client.delete("/projects/raccoons?cancel=true").json()["project"] == "raccoons"
    assert get_run(platform.db, run.id).state == "cancelling"
    for path in ("/projects/raccoons", "/models/raccoons/v1", f"/jobs/{waiting}", f"/models/{job.id}/v1"):
        problem(client.get(path), 410, "gone")
    problem(upload(client, "raccoons"), 410, "gone")
    problem(client.post("/projects", json={"project": "raccoons"}), 409, "project-exists")
    assert [client.get(path).json()["items"] for path in ("/projects", "/jobs", "/models")] == [[], [], []]
    assert client.patch(begun, content=ZIP, headers=CHUNK).status_code == 204
    assert client.get(begun).json()["problem"]["slug"] == "gone"


def test_a_name_is_never_given_to_another_project(client: httpx.Client, platform: Platform) -> None:
    old = ready_dataset(platform, "raccoons")
    client.patch("/projects/raccoons", json={"project": "foxes"})
    client.post("/projects", json={"project": "owls"})
    client.delete("/projects/owls")
    for taken in ("raccoons", "foxes", "owls"):
        problem(client.post("/projects", json={"project": taken}), 409, "project-exists")
        other = upload(client).json()["project"]
        problem(client.patch(f"/projects/{other}", json={"project": taken}), 409, "project-exists")
    client.delete(f"/jobs/{old.id}")
    assert upload(client, "raccoons").json()["dataset"] == "foxes/d2"
    problem(upload(client, "owls"), 410, "gone")


def test_the_versions_of_a_deleted_job_are_gone_by_the_project_too(client: httpx.Client, platform: Platform) -> None:
    first, second = ready_dataset(platform, "raccoons"), ready_dataset(platform, "raccoons")
    published.version(platform, first.id, b"one")
    published.version(platform, second.id, b"two")
    client.delete(f"/jobs/{second.id}")
    problem(client.get("/models/raccoons/v2"), 410, "gone")
    assert client.get("/models/raccoons/latest").json()["version"] == "v1"
    assert published.version(platform, first.id, b"three").number == 3
    assert upload(client, "raccoons").json()["dataset"] == "raccoons/d3"


def test_what_is_known_to_be_of_another_kind_is_refused_at_once(client: httpx.Client, platform: Platform) -> None:
    ready_dataset(platform, "raccoons")
    imported = {"huggingface": "org/name", "project": "raccoons"}
    refused = problem(client.post("/import-dataset", json=imported), 409, "project-kind-mismatch")
    assert (refused["project_kind"], refused["kind"]) == ("detection", "classification")
    job = published.ready_job(platform, kind="classification")
    problem(client.post(f"/jobs/{job.id}/repair?project=raccoons"), 409, "project-kind-mismatch")
    assert client.post("/import-dataset", json=imported | {"project": "actions"}).json()["dataset"] == "actions/d1"


def test_a_repair_joins_the_project_of_what_it_repairs(client: httpx.Client, platform: Platform) -> None:
    job = ready_dataset(platform, "raccoons")
    repaired = client.post(f"/jobs/{job.id}/repair").json()
    assert repaired["dataset"] == "raccoons/d2"
    elsewhere = client.post(f"/jobs/{job.id}/repair?project=foxes").json()
    assert elsewhere["dataset"] == "foxes/d1"
    assert client.post(f"/jobs/{job.id}/repair?project=foxes").json() == elsewhere
    alone = published.ready_job(platform)
    own = client.post(f"/jobs/{alone.id}/repair").json()
    assert own["project"] != client.get(f"/jobs/{alone.id}").json()["project"]


RENAMED = {
    "/projects/raccoons": "/projects/foxes",
    "/projects/raccoons/runs?limit=1&state=queued": "/projects/foxes/runs?limit=1&state=queued",
    "/models/raccoons": "/models/foxes",
    "/models/raccoons/v1/artifacts/best.pt": "/models/foxes/v1/artifacts/best.pt",
    "/models/raccoons/aliases/raccoons": "/models/foxes/aliases/raccoons",
    "/download/model/raccoons?version=v1": "/download/model/foxes?version=v1",
    "/download/model/rac%63oons?alias=%72accoons": "/download/model/foxes?alias=%72accoons",
    "/jobs?project=raccoons&limit=1": "/jobs?project=foxes&limit=1",
    "/runs?limit=1&project=raccoons": "/runs?limit=1&project=foxes",
    "/models?project=raccoons": "/models?project=foxes",
}
CHUNK = {"tus-resumable": "1.0.0", "upload-offset": "0", "content-type": "application/offset+octet-stream"}


def tus(client: httpx.Client, **metadata: str) -> str:
    """The path of a resumable upload of ZIP that has begun."""
    pairs = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in metadata.items())
    sent = {"tus-resumable": "1.0.0", "upload-length": str(len(ZIP)), "upload-metadata": pairs}
    answer = client.post("/uploads", headers=sent)
    assert answer.status_code == 201, answer.text
    return f"/uploads/{answer.json()['upload_id']}"
