"""Home: the first visit, what moves, covers, search."""

import re
from html import unescape

import httpx

from core.services.context import Platform
from core.services.projects import commands as projects
from tests.builders import indexed, rows
from tests.integration.api.pages.test_shell import page_of


def test_the_first_visit_has_an_example_of_each_format(client: httpx.Client) -> None:
    page = page_of(client, "/ui/")
    assert "Pascal VOC" in page and "Folders of classes" in page and "labels/train/dog-1.txt" in page
    assert "make demo" in page and "data-upload-open" in page and 'id="upload-dialog"' in page
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
