"""The shell of the pages over HTTP: policy, assets, problems, home."""

import gzip
import os
import re
from html import unescape
from pathlib import Path

import httpx
import pytest

from api.pages.assets import Assets, are_built, assets
from core.services.context import Platform
from core.services.projects import commands as projects
from tests.builders import published, rows
from tests.servers.api import problem

BROWSER = {"accept": "text/html,application/xhtml+xml"}
MOST_BYTES = 200_000  # of scripts and styles of a page, compressed


def page_of(client: httpx.Client, path: str, status: int = 200) -> str:
    answer = client.get(path, headers=BROWSER)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.text


def test_a_page_allows_its_own_scripts_alone_and_is_not_kept(client: httpx.Client) -> None:
    answer = client.get("/ui/", headers=BROWSER)
    policy = dict(each.split(" ", 1) for each in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'" and policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'" and "unsafe" not in str(policy)
    assert answer.headers["cache-control"] == "no-store"
    assert client.get("/ui", headers=BROWSER, follow_redirects=True).url.path == "/ui/"


def test_every_asset_of_a_page_is_there_kept_for_a_year_and_compressed(client: httpx.Client) -> None:
    page = page_of(client, "/ui/")
    addresses = re.findall(r'(?:src|href)="(/ui/assets/[^"]+)"', page)
    assert {address.rpartition("/")[2] for address in addresses} >= {"site.css", "shell.js", "early.js", "icon.svg"}
    for address in addresses:
        answer = client.get(address)
        assert answer.status_code == 200 and "immutable" in answer.headers["cache-control"], address
        plain = client.get(address, headers={"accept-encoding": "identity"})
        assert plain.content == answer.content and "content-encoding" not in plain.headers
        if len(plain.content) > 256:
            assert answer.headers["content-encoding"] == "gzip"
    script = client.get(next(each for each in addresses if each.endswith("shell.js")))
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"


def test_an_asset_of_another_release_is_not_kept_and_one_that_does_not_exist_is_a_problem(client: httpx.Client) -> None:
    answer = client.get("/ui/assets/0123456789abcdef/js/shell.js")
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    for name in ("js/nope.js", "..%2frendering.py", "js%2f..%2f..%2frendering.py", ".gitignore"):
        problem(client.get(f"/ui/assets/{assets().digest}/{name}"), 404, "route-not-found")


def test_the_hash_is_that_of_names_and_contents(tmp_path: Path) -> None:
    folder = tmp_path / "static"
    (folder / "js").mkdir(parents=True)
    (folder / "js/a.js").write_text("1")
    first = Assets(folder).digest
    (folder / "js/a.js").write_text("2")
    second = Assets(folder).digest
    (folder / "js/a.js").rename(folder / "js/b.js")
    assert len({first, second, Assets(folder).digest}) == 3
    assert Assets(folder).compressed("js/b.js") == gzip.compress(b"2", mtime=0)


def test_scripts_and_styles_are_small() -> None:
    if not are_built():
        assert not os.environ.get("CI"), "python -m api.pages.vendor has not run"
        pytest.skip("python -m api.pages.vendor has not run")
    sizes = {name: len(assets().compressed(name)) for name in assets().files if name.endswith((".js", ".css"))}
    assert sum(sizes.values()) < MOST_BYTES, sizes  # all of them, which no page has


def test_a_page_without_the_files_of_third_parties_says_how_to_fetch_them(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {name: content for name, content in assets().files.items() if not name.startswith("vendor/")}
    monkeypatch.setitem(vars(assets()), "files", own)
    page = page_of(client, "/ui/")
    assert "python -m api.pages.vendor" in page and "vendor/htmx.js" not in page and "<h1>Projects</h1>" in page


def test_a_failure_below_ui_is_the_problem_in_the_layout_for_browsers_and_json_for_programs(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem(client.get("/ui/nope"), 404, "route-not-found")
    problem(client.get("/jobs/nope", headers=BROWSER), 404, "job-not-found")
    page = page_of(client, "/ui/%3Cscript%3Ealert(1)", 404)
    assert '<nav class="menu"' in page and "What to do" in page and "<script>alert" not in page
    assert "<script>alert(1)" in unescape(page)
    assert "cursor" in page_of(client, "/ui/?cursor=%F0", 400)
    assert "curser" in page_of(client, "/ui/?curser=a", 400)

    def explode(*_args: object, **_kw: object) -> None:
        raise RuntimeError("the secret path /root/x")

    monkeypatch.setattr("core.services.projects.commands.list_projects", explode)
    page = page_of(client, "/ui/", 500)
    assert "req_" in page and "secret" not in page
    refused = client.post("/ui/", headers=BROWSER)
    assert refused.status_code == 405 and refused.headers["allow"] == "GET, HEAD, OPTIONS" and "<h1>" in refused.text


def test_a_problem_is_explained_in_the_layout(client: httpx.Client) -> None:
    page = page_of(client, "/ui/problems/job-not-ready")
    assert "<h1>The job is not ready</h1>" in page and "data-remedy" in page
    assert "There is no problem called" in page_of(client, "/ui/problems/nope", 404)


def test_home_lists_the_projects_in_pages(client: httpx.Client, platform: Platform) -> None:
    assert "Drop a ZIP here" in page_of(client, "/ui/")
    for number in range(25):
        projects.create_project(platform.db, f"p-{number:02d}")
    first = page_of(client, "/ui/")
    (following,) = re.findall(r'rel="next" href="([^"]+)"', first)
    second = page_of(client, unescape(following))
    named = [re.findall(r'href="/ui/projects/([^"]+)"', page) for page in (first, second)]
    assert [len(each) for each in named] == [24, 1] and len({*named[0], *named[1]}) == 25
    assert 'href="/ui/"' in second and "First page" in second


def test_hostile_titles_are_text_and_production_is_named(client: httpx.Client, platform: Platform) -> None:
    title = "<img src=x onerror=alert(1)>\u202e" + "x" * 100
    job = published.ready_job(platform, project="raccoons")
    projects.update_project(platform.db, "raccoons", slug=None, title=title, description=None, settings=None)
    rows.publish(platform, rows.running_run(platform, job.id))
    alias = client.put("/models/raccoons/aliases/production", json={"version": "v1"})
    assert alias.status_code == 200, alias.text
    page = page_of(client, "/ui/")
    assert title in unescape(page) and "<img src=x" not in page
    assert "production v1" in page
