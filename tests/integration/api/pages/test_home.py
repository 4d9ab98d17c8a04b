"""Home: the first visit, what moves, covers, search."""

import json
import re
from html import unescape
from pathlib import Path

import httpx

from core.services.context import Platform, open_platform
from core.services.jobs.project_deletion import delete_project
from core.services.projects import commands as projects
from core.settings import Settings
from tests.builders import indexed, rows
from tests.integration.api.pages.test_shell import page_of
from tests.servers.api import serving


def test_the_first_visit_has_an_example_of_each_format(client: httpx.Client) -> None:
    page = page_of(client, "/ui/")
    assert "Pascal VOC" in page and "Folders of classes" in page and "labels/train/dog-1.txt" in page
    assert "data-upload-choose" in page and 'id="upload-dialog"' in page
    assert "<code>names</code>, optionally train" in page, "notes are marked up"
    assert "darkroom-dataset.jsonl" not in page  # what Darkroom itself writes


def test_what_moves_is_listed_with_its_progress_and_waits_last(client: httpx.Client, platform: Platform) -> None:
    rows.received_job(platform, project="zebras")
    run = rows.running_run(platform)
    page = page_of(client, "/ui/")
    moving = re.findall(r'<li class="work-line" data-key="([^"]+)"', page)
    assert moving[0] == run.id and len(moving) == 2
    assert "Waits for a worker" in page and "zebras/d1" in page


def test_a_search_finds_parts_of_names_and_titles_and_nothing_else(client: httpx.Client, platform: Platform) -> None:
    for name in ("red-pandas", "raccoons", "a-b"):
        projects.create_project(platform.db, name)
    projects.update_project(platform.db, "a-b", title="100% RED things")

    def found(query: str) -> set[str]:
        page = page_of(client, f"/ui/?q={query}")
        return set(re.findall(r'href="/ui/projects/([^"]+)"', page))

    assert found("red") == {"red-pandas", "a-b"}
    assert found("%25") == {"a-b"} and found("_") == set()  # not the wildcards of SQL
    nothing = page_of(client, "/ui/?q=%3Cb%3Enope")
    assert "<b>nope" not in nothing and "<b>nope" in unescape(nothing) and "No project has this" in nothing


def test_single_uploads_are_behind_a_switch(client: httpx.Client, platform: Platform) -> None:
    job = rows.ready_job(platform)
    page = page_of(client, "/ui/")
    assert f"/ui/projects/{job.project}" not in page and "Uploads without a project" in page
    assert f"/ui/projects/{job.project}" in page_of(client, "/ui/?implicit=true")


def test_a_cover_is_an_image_of_the_newest_ready_dataset(client: httpx.Client, platform: Platform) -> None:
    plain = indexed.indexed_image("a.jpg", blur=0.1)
    boxed = indexed.indexed_image("b.jpg", boxes=(indexed.box(0, 1, 1, 9, 9),))
    job = indexed.indexed_job(platform, {plain: b"1", boxed: b"2"})
    assert f'src="/ui/datasets/{job.id}/cover"' in page_of(client, "/ui/?implicit=true")
    answer = client.get(f"/ui/datasets/{job.id}/cover", follow_redirects=False)
    assert answer.status_code == 307 and answer.headers["location"].startswith(
        f"/dataset/images/{job.id}/{boxed.sha256}"
    )


def test_sample_images_go_to_a_project_that_takes_them(client: httpx.Client, platform: Platform) -> None:
    def offered() -> set[str]:
        page = unescape(page_of(client, "/ui/"))
        return {json.loads(body)["project"] for body in re.findall(r"data-body='(.*?)'", page) if "sample" in body}

    assert offered() == {"sample-shapes"}
    client.post("/import-dataset", json={"sample": "shapes", "project": "sample-shapes"}).raise_for_status()
    assert offered() == {"sample-shapes"}
    delete_project(platform, "sample-shapes", cancel=True)
    assert offered() == {"sample-shapes-2"}


def test_the_dialog_says_from_where_the_service_imports_and_which_setting_allows_more(
    sqlite_url: str, tmp_path: Path
) -> None:
    allowed = {"import_hosts": "data.example", "import_folders": "/srv/sets"}
    platform = open_platform(Settings(home=tmp_path / "home", database_url=sqlite_url, hub=False, **allowed))
    with serving(platform) as client:
        page = page_of(client, "/ui/")
    platform.db.close()
    assert "data.example" in page and "/srv/sets" in page
    assert "<code>DARKROOM_IMPORT_BUCKETS</code>" in page and "<code>DARKROOM_HUB</code>" in page
    assert "<code>DARKROOM_IMPORT_HOSTS</code>" not in page
