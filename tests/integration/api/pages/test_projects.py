"""The page of a project: datasets and what changed, versions, test set, lineage, settings."""

import re
from html import unescape

import httpx

from api.pages.projects import revisions_of
from core.services.context import Platform
from core.services.projects import commands as projects
from tests.builders import published, rows
from tests.integration.api.pages.test_shell import page_of

HOSTILE = "<img src=x onerror=alert(1)>\u202e" + "x" * 150


def test_an_empty_project_says_how_it_begins(client: httpx.Client, platform: Platform) -> None:
    projects.create_project(platform.db, "raccoons", title=HOSTILE, description=HOSTILE)
    page = page_of(client, "/ui/projects/raccoons")
    assert "No dataset yet" in page and 'value="raccoons"' in page and "None yet: a version" in page
    assert "<img src=x" not in page and HOSTILE in unescape(page)


def test_datasets_versions_and_lineage_lead_to_their_pages(client: httpx.Client, platform: Platform) -> None:
    job = published.ready_job(platform, project="raccoons")
    rows.publish(platform, rows.running_run(platform, job.id))
    client.put("/models/raccoons/aliases/production", json={"version": "v1"})
    page = page_of(client, "/ui/projects/raccoons")
    assert f'href="/ui/datasets/{job.id}"' in page and 'href="/ui/projects/raccoons/versions/1"' in page
    assert f'href="/ui/datasets/{job.id}/train"' in page and "/ui/predict?model=raccoons" in page
    (lineage,) = re.findall(r'<div class="lineage.*?</svg>', page, re.DOTALL)
    links = set(re.findall(r'href="([^"]+)"', lineage))
    assert links and all(each.startswith("/ui/") for each in links)
    assert "<style" not in page and " style=" not in page  # the policy forbids both


def test_what_changed_is_compared_with_the_dataset_that_it_extends_or_the_ready_one_before(platform: Platform) -> None:
    first = rows.ready_job(platform, project="raccoons")
    rejected = rows.received_job(platform, project="raccoons")
    claim = rows.claimed_job(platform, project="raccoons")
    second = rows.complete(platform, claim, fingerprint="e" * 64, classes=("cat", "raccoon"))
    assert second is not None
    newest, middle, oldest = revisions_of([second, rejected, first])
    assert newest.before is first and newest.images_more == 0 and newest.classes_new == ["cat"]
    assert middle.before is None and oldest.before is None


def test_a_renamed_project_leads_to_its_present_name(client: httpx.Client, platform: Platform) -> None:
    projects.create_project(platform.db, "raccoons")
    projects.update_project(platform.db, "raccoons", slug="trash-pandas")
    answer = client.get("/ui/projects/raccoons", headers={"accept": "text/html"}, follow_redirects=False)
    assert answer.status_code == 308 and answer.headers["location"] == "/ui/projects/trash-pandas"


def test_a_project_that_does_not_exist_is_a_problem_in_the_layout(client: httpx.Client) -> None:
    assert "There is no project" in page_of(client, "/ui/projects/nope", 404)


def test_storage_is_a_part_that_is_loaded_later(client: httpx.Client, platform: Platform) -> None:
    published.ready_job(platform, project="raccoons")
    assert 'hx-get="/ui/projects/raccoons/storage"' in page_of(client, "/ui/projects/raccoons")
    part = page_of(client, "/ui/projects/raccoons/storage")
    assert "Prepared sets" in part and "<html" not in part
