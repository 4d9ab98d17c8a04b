"""The pages of images, corrections and differences: filters, places, hostile names, drafts, what stays exact."""

import json
import re
from html import unescape
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from core.db.tables import CorrectionRow, JobRow
from core.services.context import Platform
from tests.builders import published
from tests.builders.indexed import box, indexed_image, indexed_job
from tests.integration.api.pages.test_shell import BROWSER, page_of

HOSTILE = '"><script>alert(1)</script>\u202e' + "x" * 900
IMAGES = {
    indexed_image("a.jpg", blur=0.9, boxes=(box(0, 1.234, 2, 30, 40), box(1, 5, 5, 9.001, 9))): b"1",
    indexed_image("b/c.jpg", blur=0.1, split="val", boxes=(box(1, 0, 0, 10, 10),)): b"2",
    indexed_image(f"{HOSTILE}.jpg", blur=0.5): b"3",
}
TILE = re.compile(r'<li class="tile [^"]*" data-path="([^"]*)"')


@pytest.fixture
def job(platform: Platform) -> JobRow:
    return indexed_job(platform, IMAGES, classes=("ball", HOSTILE[:100]), findings=[("box-tiny", "b/c.jpg")])


def listed(client: httpx.Client, job: JobRow, query: str = "") -> list[str]:
    page = page_of(client, f"/ui/datasets/{job.id}/images{query}")
    assert "<script>alert" not in page
    return [unescape(path)[:8] for path in TILE.findall(page)]


def test_the_grid_filters_sorts_and_says_how_many_match(client: httpx.Client, job: JobRow) -> None:
    assert listed(client, job) == [HOSTILE[:8], "a.jpg", "b/c.jpg"]
    assert listed(client, job, "?sort=-blur") == ["a.jpg", HOSTILE[:8], "b/c.jpg"]
    assert listed(client, job, "?class=ball&split=&finding=&sort=") == ["a.jpg"]  # a form sends what is empty, too
    assert listed(client, job, "?finding=box-tiny&split=val") == ["b/c.jpg"]
    page = page_of(client, f"/ui/datasets/{job.id}/images?split=val")
    assert re.search(r'number">1</strong> of 3 images', page) and 'title="A box is tiny"' in page
    assert 'd="M0.0 0.0h10.0v10.0h-10.0z"' in page and f"{job.id}/" in page
    assert "No image matches" in page_of(client, f"/ui/datasets/{job.id}/images?class=ball&split=test")
    assert "Did you mean" in unescape(page_of(client, f"/ui/datasets/{job.id}/images?class=bal", 400))
    assert "next_cursor" in unescape(page_of(client, f"/ui/datasets/{job.id}/images?cursor=x", 400))


def test_only_findings_that_images_have_are_offered(client: httpx.Client, platform: Platform) -> None:
    job = indexed_job(platform, IMAGES, findings=[("box-tiny", "b/c.jpg"), ("image-broken", None)])
    offered = re.compile(r'<option value="(box-tiny|image-broken)"')
    assert offered.findall(page_of(client, f"/ui/datasets/{job.id}/images")) == ["box-tiny"]
    named = page_of(client, f"/ui/datasets/{job.id}/images?finding=image-broken")
    assert offered.findall(named) == ["box-tiny", "image-broken"] and "No image matches" in named


def test_pages_follow_each_other_with_the_same_filters(client: httpx.Client, platform: Platform) -> None:
    images = {indexed_image(f"{number:03}.jpg", split="val" if number % 2 else "train"): b"" for number in range(70)}
    job = indexed_job(platform, images)
    path, seen = f"/ui/datasets/{job.id}/images?split=val&tiles=l", []
    while path:
        page = page_of(client, path)
        seen += TILE.findall(page)
        found = re.search(r'rel="next" href="([^"]*)"', page)
        path = unescape(found[1]) if found else ""
    assert seen == [f"{number:03}.jpg" for number in range(1, 70, 2)]


def data_of(page: str) -> dict[str, Any]:
    (found,) = re.findall(r'data-image="([^"]*)"', page)
    data: dict[str, Any] = json.loads(unescape(found))
    return data


def test_the_full_view_has_exact_edges_and_its_neighbours_in_the_list(client: httpx.Client, job: JobRow) -> None:
    page = page_of(client, f"/ui/datasets/{job.id}/images?image=a.jpg&sort=-blur")
    assert data_of(page)["boxes"] == [[0, 1234, 2000, 30000, 40000, 0], [1, 5000, 5000, 9001, 9000, 0]]
    assert "1 of 3" in page and 'aria-label="Previous image"' in page
    (following,) = re.findall(r'href="([^"]*)" data-next', page)
    assert data_of(page_of(client, unescape(following)))["path"] == f"{HOSTILE}.jpg"
    assert "sort=-blur" in following and "<script>alert" not in page_of(client, unescape(following))
    by_digest = page_of(client, f"/ui/datasets/{job.id}/images?image={next(iter(IMAGES)).sha256}")
    assert data_of(by_digest)["path"] == "a.jpg"
    assert "has no image" in page_of(client, f"/ui/datasets/{job.id}/images?image=nope.jpg", 404)


def test_a_draft_is_marked_in_the_grid_drawn_in_full_and_listed_before_and_after(
    client: httpx.Client, platform: Platform, job: JobRow
) -> None:
    kept = {"class": "ball", "x1": 1.234, "y1": 2, "x2": 30, "y2": 40}
    new = {"class": "<b>new</b>", "x1": 50, "y1": 10, "x2": 60, "y2": 20}
    corrections = [
        {"image": "a.jpg", "boxes": [kept, new]},
        {"image": f"{HOSTILE}.jpg", "remove": True, "note": "<i>twice</i>"},
        {"image": "b/c.jpg", "accept": True},
    ]
    sent = {"corrections": corrections, "author": "<u>ada</u>", "new_classes": True}
    client.post(f"/datasets/{job.id}/corrections", json=sent).raise_for_status()
    grid = page_of(client, f"/ui/datasets/{job.id}/images")
    assert re.findall(r"<span>(taken out|corrected|accepted)</span>", grid) == ["taken out", "corrected", "accepted"]
    full = page_of(client, f"/ui/datasets/{job.id}/images?image=a.jpg")
    (draft,) = re.findall(r'data-draft="([^"]*)"', full)
    assert json.loads(unescape(draft)) == {"boxes": [kept, new]} and "a draft by" in full
    page = page_of(client, f"/ui/datasets/{job.id}/corrections")
    assert "1 box added, 1 box removed" in page and "2 images of" in page
    assert re.findall(r'class="mark-(added|removed)" x="([^"]*)"', page)[2:] == [("removed", "5.0"), ("added", "50.0")]
    assert not any(f"<{tag}>" in page for tag in ("i", "u", "b", "script")), "names are text"
    assert "&lt;i&gt;twice" in page and page.count('data-call="DELETE"') == 4
    with platform.db.reading() as session:
        first = session.execute(select(CorrectionRow.id).order_by(CorrectionRow.id)).scalars().first()
    assert f'data-path="/datasets/{job.id}/corrections/{first}"' in page


def test_drafts_that_are_discarded_one_by_one_are_all_gone(client: httpx.Client, job: JobRow) -> None:
    path = f"/datasets/{job.id}/corrections"
    images = ("a.jpg", f"{HOSTILE}.jpg", "b/c.jpg")
    client.post(path, json={"corrections": [{"image": image, "remove": True} for image in images]}).raise_for_status()
    query = "?state=draft&limit=2"
    while query:  # pages of a list that becomes shorter meanwhile
        page = client.get(path + query).json()
        for each in page["items"]:
            assert client.delete(f"{path}/{each['correction_id']}").status_code == 204
        query = f"?state=draft&limit=2&cursor={page['next_cursor']}" if page["next_cursor"] else ""
    assert client.get(path).json()["items"] == []
    assert "No draft" in page_of(client, f"/ui/datasets/{job.id}/corrections")


def test_without_drafts_the_page_leads_to_the_images(client: httpx.Client, job: JobRow) -> None:
    page = page_of(client, f"/ui/datasets/{job.id}/corrections")
    assert "No draft" in page and 'data-dialog="apply"' not in page
    assert "Nothing applied yet" in page_of(client, f"/ui/datasets/{job.id}/corrections?state=applied")


def test_differences_are_drawn_filtered_and_linked(client: httpx.Client, platform: Platform, job: JobRow) -> None:
    later = {
        indexed_image("a.jpg", boxes=(box(0, 1.234, 2, 30, 40),)): b"1",
        indexed_image("b/c.jpg", split="test", boxes=(box(1, 0, 0, 10, 10),)): b"2",
        indexed_image("<b>d</b>.jpg"): b"4",
    }
    other = indexed_job(platform, later, classes=job.classes or [])
    base = f"/ui/datasets/{job.id}/diff/{other.id}"
    page = page_of(client, base)
    assert page.count('class="card pair"') == 4 and "<b>d</b>" not in page and "1 to test" in page
    assert f'href="/dataset/diff/{job.id}/{other.id}/changes.csv"' in page
    added = page_of(client, f"{base}?change=added")
    assert added.count('class="card pair"') == 1 and "changes.csv?change=added" in added
    assert f"/ui/datasets/{job.id}/images?image=" in page_of(client, f"{base}?change=removed")
    assert "There is no change" in page_of(client, f"{base}?change=x", 400)
    assert "Nothing differs" in page_of(client, f"/ui/datasets/{job.id}/diff/{job.id}")


def test_near_duplicates_are_a_part_of_the_full_view(client: httpx.Client, platform: Platform) -> None:
    images = {indexed_image(f"{name}.jpg", phash=bytes(31) + bytes([n])): b"" for n, name in enumerate("abc")}
    job = indexed_job(platform, images)
    part = page_of(client, f"/ui/datasets/{job.id}/near?image=a.jpg")
    assert re.findall(r'title="(.)\.jpg"', part) == ["b", "c"] and "1 of 256 bits" in part and "<html" not in part


def test_suspect_labels_are_ranked_and_one_click_from_a_correction(client: httpx.Client, platform: Platform) -> None:
    images = {indexed_image(f"{name}.jpg", label=0): b"" for name in "abc"}
    job = indexed_job(platform, images, kind="classification")
    rows = [
        {"path": "c.jpg", "suggested": "cube", "flagged": "yes", "score": 0.9},
        {"path": "a.jpg", "suggested": "cone", "flagged": "yes", "score": 0.2},
        {"path": "b.jpg", "suggested": "cone", "flagged": "no", "score": -0.5},
    ]
    assert "suspect" not in page_of(client, f"/ui/datasets/{job.id}/images")
    content = json.dumps({"labels": rows}).encode()
    published.version(platform, job.id, b"weights", artifacts={"suspect_labels.json": content})
    assert listed(client, job, "?sort=suspect") == ["c.jpg", "a.jpg"]
    assert listed(client, job, "?suspect=true") == ["a.jpg", "c.jpg"]
    full = page_of(client, f"/ui/datasets/{job.id}/images?sort=suspect&image=c.jpg")
    assert 'data-label="cube"' in full and "1 of 2" in full and "image=a.jpg" in full


def test_a_dataset_without_an_index_says_what_is_done_about_it(client: httpx.Client, platform: Platform) -> None:
    job = indexed_job(platform, IMAGES, with_index=False)
    answer = client.get(f"/ui/datasets/{job.id}/images", headers=BROWSER)
    assert answer.status_code == 409 and "its index is being made" in answer.text
