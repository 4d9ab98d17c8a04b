"""The difference of two datasets over HTTP: pages, filters, CSV, images side by side, and what cannot be compared."""

import csv
import io

import httpx
import pytest
from PIL import Image
from sqlalchemy import update

from core.db.tables import JobRow
from core.services.context import Platform
from core.services.operations.commands import list_operations
from tests.builders import rows
from tests.builders.indexed import box, indexed_image, indexed_job
from tests.builders.voc import image_bytes
from tests.servers.api import problem

GREEN, RED, BLUE = (0x00, 0x9E, 0x73), (0xD9, 0x48, 0x0F), (0x00, 0x72, 0xB2)
CONTENTS = {name: image_bytes(size=(96, 64), seed=seed) for seed, name in enumerate(("a", "b", "c", "=d", "e"))}
BALL, CUBE = box(0, 10, 10, 40, 40), box(1, 50, 5, 90, 60)
BEFORE = {
    indexed_image("a.jpg", CONTENTS["a"], boxes=(BALL, CUBE)): CONTENTS["a"],
    indexed_image("b.jpg", CONTENTS["b"], boxes=(BALL,)): CONTENTS["b"],
    indexed_image("c.jpg", CONTENTS["c"]): CONTENTS["c"],
    indexed_image("e.jpg", CONTENTS["e"]): CONTENTS["e"],
}
AFTER = {
    indexed_image("=d.jpg", CONTENTS["=d"], boxes=(CUBE,)): CONTENTS["=d"],
    indexed_image("a.jpg", CONTENTS["a"], boxes=(BALL._replace(x2=42_000), box(2, 0, 50, 30, 60))): CONTENTS["a"],
    indexed_image("c.jpg", CONTENTS["c"], split="test"): CONTENTS["c"],
    indexed_image("e.jpg", CONTENTS["e"]): CONTENTS["e"],
}


@pytest.fixture
def jobs(platform: Platform) -> tuple[JobRow, JobRow]:
    return indexed_job(platform, BEFORE), indexed_job(platform, AFTER)


@pytest.fixture
def url(jobs: tuple[JobRow, JobRow]) -> str:
    return "/dataset/diff/{}/{}".format(*(job.id for job in jobs))


def test_a_diff_has_a_summary_and_each_image_with_its_boxes(
    client: httpx.Client, url: str, jobs: tuple[JobRow, JobRow]
) -> None:
    found = client.get(url).json()
    assert [(item["path"], item["changes"]) for item in found["items"]] == [
        ("=d.jpg", ["added"]),
        ("a.jpg", ["changed"]),
        ("b.jpg", ["removed"]),
        ("c.jpg", ["split"]),
    ]
    assert (found["equal"], found["next_cursor"], found["before"]["job_id"]) == (False, None, jobs[0].id)
    images = found["summary"]["images"]
    assert (images["before"], images["after"], images["unchanged"], images["changed"]) == (4, 4, 1, 1)
    assert found["summary"]["split_moves"] == [{"before": "train", "after": "test", "images": 1}]
    changed = found["items"][1]
    assert [(each["kinds"], each["before"] and each["before"]["class"]) for each in changed["boxes"]] == [
        (["moved"], "ball"),
        (["removed"], "cube"),
        (["added"], None),
    ]
    assert changed["boxes"][0]["after"] == {"class": "ball", "x": 10, "y": 10, "width": 32, "height": 30} | {
        "difficult": False
    }
    assert changed["boxes"][0]["iou"] == pytest.approx(30 / 32, abs=1e-4)
    assert client.get(changed["after"]["links"]["image"]).content == CONTENTS["a"]
    back = client.get(found["links"]["reverse"]).json()
    assert [item["changes"] for item in back["items"]] == [["removed"], ["changed"], ["added"], ["split"]]


def test_pages_and_filters_list_every_image_once(client: httpx.Client, url: str) -> None:
    paths, cursor = [], None
    while cursor is not None or not paths:
        page = client.get(url, params={"limit": 1} | ({"cursor": cursor} if cursor else {})).json()
        paths += [item["path"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert paths == ["=d.jpg", "a.jpg", "b.jpg", "c.jpg"]
    assert [item["path"] for item in client.get(f"{url}?change=removed").json()["items"]] == ["b.jpg"]
    assert client.get(f"{url}?change=replaced").json()["items"] == []
    problem(client.get(f"{url}?change=other"), 400, "request-invalid")
    for cursor in ("LTE", "MS41", "4pGg", "!", "MTAwMDAwMDAwMDAwMDAwMDAwMDA"):
        problem(client.get(f"{url}?cursor={cursor}"), 400, "cursor-invalid")


def test_a_diff_is_computed_once_and_read_afterwards(client: httpx.Client, platform: Platform, url: str) -> None:
    first = client.get(url).json()
    (file,) = (platform.settings.temp / "image-indexes").glob("diff-*")
    made = file.stat().st_ino
    assert client.get(url).json() == first
    assert [(path.stat().st_ino, path) for path in file.parent.glob("*diff-*")] == [(made, file)]
    assert not [*file.parent.glob(".*")]


def test_the_csv_has_a_line_for_each_difference_and_no_formula(client: httpx.Client, url: str) -> None:
    answer = client.get(f"{url}/changes.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    lines = [*csv.DictReader(io.StringIO(answer.text, newline=""))]
    assert [(line["item"], line["change"], line["path"]) for line in lines] == [
        ("image", "added", "'=d.jpg"),
        ("box", "moved", "a.jpg"),
        ("box", "removed", "a.jpg"),
        ("box", "added", "a.jpg"),
        ("image", "removed", "b.jpg"),
        ("split", "changed", "c.jpg"),
    ]
    assert [lines[1][name] for name in ("before", "x2_before", "x2_after")] == ["ball", "40", "42"]
    only = client.get(f"{url}/changes.csv?change=split").text.splitlines()
    assert only[1:] == ["split,changed,c.jpg,train,test,,,,,,,,"]


def test_the_plot_draws_before_and_after_side_by_side(client: httpx.Client, url: str) -> None:
    answer = client.get(f"{url}/plot?n=1")
    assert answer.headers["content-type"] == "image/png" and "no-cache" in answer.headers["cache-control"]
    sheet = Image.open(io.BytesIO(answer.content)).convert("RGB")
    # The frames begin at (28, 156) and (374, 156), 340 px wide; an image of 96 x 64 is drawn 340 x 227, 14 px lower.
    at = 340 / 96
    before, after = (28, 170), (374, 170)
    assert sheet.getpixel((before[0] + round(10 * at) + 1, before[1] + round(30 * at))) == BLUE
    assert sheet.getpixel((after[0] + round(42 * at) - 2, after[1] + round(30 * at))) == BLUE
    assert sheet.getpixel((before[0] + round(50 * at) + 2, before[1] + round(5 * at) + 1)) == RED
    assert sheet.getpixel((after[0] + round(15 * at), after[1] + round(60 * at) - 2)) == GREEN
    again = client.get(f"{url}/plot?n=1", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    whole = Image.open(io.BytesIO(client.get(f"{url}/plot").content))
    assert whole.size == (2 * 28 + 2 * 686 + 30, 126 + 2 * (315 + 30) - 30 + 28)
    nothing = client.get(f"{url}/plot?change=moved")
    assert Image.open(io.BytesIO(nothing.content)).size[0] == 2 * 28 + 686


def test_the_plot_has_the_new_name_of_a_renamed_project(client: httpx.Client, platform: Platform) -> None:
    before = indexed_job(platform, BEFORE)
    after = indexed_job(platform, AFTER)
    url = f"/dataset/diff/{before.id}/{after.id}/plot?n=1"
    drawn = client.get(url)
    client.patch(f"/projects/{after.project}", json={"project": "the-other-name"}).raise_for_status()
    again = client.get(url, headers={"if-none-match": drawn.headers["etag"]})
    assert again.status_code == 200 and again.content != drawn.content
    assert "the-other-name-d1" in again.headers["content-disposition"]


def test_the_plot_of_labels_has_no_legend_of_boxes(client: httpx.Client, platform: Platform) -> None:
    image = indexed_image("a.jpg", CONTENTS["a"], label=0)
    sides = [{each: CONTENTS["a"]} for each in (image, image._replace(label=1))]
    first, second = (indexed_job(platform, side, kind="classification", classes=("katze", "größe")) for side in sides)
    answer = client.get(f"/dataset/diff/{first.id}/{second.id}/plot")
    sheet = Image.open(io.BytesIO(answer.content)).convert("RGB")
    assert sheet.size == (2 * 28 + 686, 92 + 315 + 28)
    caption = sheet.crop((374, 380, 714, 405))  # the class of the second, in the colour of what changed
    assert any(colour == BLUE for _, colour in caption.getcolors(maxcolors=10_000) or [])


def test_an_image_that_cannot_be_decoded_costs_its_own_frame_alone(client: httpx.Client, platform: Platform) -> None:
    broken = {indexed_image("b.jpg", b"no image", boxes=(BALL,)): b"no image"}
    first, second = indexed_job(platform, broken), indexed_job(platform, AFTER)
    sheet = Image.open(io.BytesIO(client.get(f"/dataset/diff/{first.id}/{second.id}/plot").content)).convert("RGB")
    assert sheet.getpixel((374 + round(50 * 340 / 96) + 2, 170 + round(5 * 340 / 96) + 40)) == GREEN


def test_a_dataset_that_extends_another_links_to_what_it_changed(
    client: httpx.Client, platform: Platform, jobs: tuple[JobRow, JobRow], url: str
) -> None:
    with platform.db.transaction() as session:
        session.execute(update(JobRow).where(JobRow.id == jobs[1].id).values(parent_job_id=jobs[0].id))
    assert client.get(f"/jobs/{jobs[1].id}").json()["links"]["diff"] == url
    assert "diff" not in client.get(f"/jobs/{jobs[0].id}").json()["links"]


def test_a_diff_of_one_dataset_is_empty(client: httpx.Client, jobs: tuple[JobRow, JobRow]) -> None:
    found = client.get(f"/dataset/diff/{jobs[0].id}/{jobs[0].id}").json()
    assert (found["equal"], found["items"], found["summary"]["class_shift"]) == (True, [], 0)
    assert found["summary"]["images"]["unchanged"] == 4


def test_what_cannot_be_compared_says_why(
    client: httpx.Client, platform: Platform, jobs: tuple[JobRow, JobRow]
) -> None:
    job = jobs[0].id
    problem(client.get(f"/dataset/diff/{job}/job_nope"), 404, "job-not-found")
    waiting = rows.received_job(platform)
    for path in (
        f"{job}/{waiting.id}",
        f"{waiting.id}/{job}",
        f"{job}/{waiting.id}/plot",
        f"{job}/{waiting.id}/changes.csv",
    ):
        problem(client.get(f"/dataset/diff/{path}"), 409, "job-not-ready")
    labelled = {indexed_image("a.jpg", CONTENTS["a"], label=0): CONTENTS["a"]}
    other = indexed_job(platform, labelled, kind="classification")
    body = problem(client.get(f"/dataset/diff/{job}/{other.id}"), 409, "dataset-kind-mismatch")
    assert (body["before"]["kind"], body["after"]["kind"]) == ("detection", "classification")
    without = indexed_job(platform, AFTER, with_index=False)
    body = problem(client.get(f"/dataset/diff/{job}/{without.id}"), 409, "image-index-missing")
    assert body["job_id"] == without.id and len(list_operations(platform.db, cursor=None, limit=9).items) == 1
    client.delete(f"/jobs/{jobs[1].id}")
    problem(client.get(f"/dataset/diff/{job}/{jobs[1].id}"), 410, "gone")
