"""Sample images and plots of a dataset, and its findings as CSV."""

import csv
import io
from pathlib import Path

import httpx
import pytest
from PIL import Image
from sqlalchemy import insert

from core.db.tables import FindingRow
from core.domain.keys import PLOT_NAMES, plot_key, samples_key
from core.services.context import Platform
from pipeline.layouts.tarball import open_tar
from tests.builders import published, rows
from tests.builders.voc import image_bytes
from tests.servers.api import problem

CELL = (400, 324)


@pytest.fixture
def job_id(platform: Platform, tmp_path: Path) -> str:
    """A ready job with ten samples, each of a different colour, and one plot."""
    job = published.ready_job(platform, drawn=False)
    with open_tar(tmp_path / "samples.tar") as tar:
        for number in range(10):
            tar.add(f"{number:02d}.jpg", image_bytes(size=CELL, seed=number))
        tar.end()
    platform.store.put(samples_key(job.id, job.attempt), tmp_path / "samples.tar")
    published.put(platform, plot_key(job.id, job.attempt, "box_centres"), image_bytes(format="PNG"))
    return job.id


def _grid(answer: httpx.Response) -> Image.Image:
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/png", answer.text
    return Image.open(io.BytesIO(answer.content)).convert("RGB")


@pytest.mark.parametrize(("n", "columns", "rows_"), [(1, 1, 1), (4, 2, 2), (7, 3, 3), (64, 4, 3)])
def test_a_sample_is_a_grid_of_the_first_n(client: httpx.Client, job_id: str, n: int, columns: int, rows_: int) -> None:
    grid = _grid(client.get(f"/dataset/sample/{job_id}?n={n}"))
    assert grid.size == (36 + columns * 414 - 14, 36 + rows_ * 338 - 14)
    for number in range(min(n, 10)):
        x, y = 18 + number % columns * 414 + 50, 18 + number // columns * 338 + 50
        expected = Image.open(io.BytesIO(image_bytes(size=CELL, seed=number))).getpixel((50, 50))
        assert grid.getpixel((x, y)) == expected


def test_a_sample_never_changes_and_is_cached_forever(client: httpx.Client, job_id: str) -> None:
    answer = client.get(f"/dataset/sample/{job_id}")
    assert "immutable" in answer.headers["cache-control"]
    assert 'inline; filename="raccoons-sample-16.png"' in answer.headers["content-disposition"]
    again = client.get(f"/dataset/sample/{job_id}", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(f"/dataset/sample/{job_id}?n=4").headers["etag"] != answer.headers["etag"]
    assert client.head(f"/dataset/sample/{job_id}").headers["etag"] == answer.headers["etag"]
    for n in ("0", "65", "-1", "x"):
        problem(client.get(f"/dataset/sample/{job_id}?n={n}"), 400, "request-invalid")


def test_a_plot_is_sent_as_it_was_stored(client: httpx.Client, job_id: str) -> None:
    links = client.get(f"/jobs/{job_id}").json()["links"]
    assert {name: links[name] for name in PLOT_NAMES} == {
        name: f"/dataset/plots/{job_id}/{name}" for name in PLOT_NAMES
    }
    answer = client.get(links["box_centres"])
    assert answer.content == image_bytes(format="PNG") and answer.headers["content-type"] == "image/png"
    assert "immutable" in answer.headers["cache-control"] and "inline" in answer.headers["content-disposition"]
    assert client.get(f"/dataset/plots/{job_id}/box_centres.png").content == answer.content
    problem(client.get(f"/dataset/plots/{job_id}/resolution_scatter"), 404, "image-not-found")
    problem(client.get(f"/dataset/plots/{job_id}/..%2Fsecrets"), 404, "route-not-found")
    problem(client.get(f"/dataset/plots/{job_id}/nope"), 404, "image-not-found")


def test_a_job_without_rendered_images_answers_404(client: httpx.Client, platform: Platform) -> None:
    problem(client.get(f"/dataset/sample/{published.ready_job(platform, drawn=False).id}"), 404, "image-not-found")
    problem(client.get(f"/dataset/sample/{rows.received_job(platform).id}"), 409, "job-not-ready")
    problem(client.get("/dataset/sample/job_nope"), 404, "job-not-found")
    problem(client.get("/dataset/plots/job_nope/box_centres"), 404, "job-not-found")


def test_jobs_that_share_a_prepared_dataset_list_each_other(client: httpx.Client, platform: Platform) -> None:
    ids = [published.rows.complete(platform, rows.claimed_job(platform)) for _ in range(3)]
    first, second, third = (row.id for row in ids if row)
    assert client.get(f"/jobs/{second}").json()["shared_with"] == [first, third]
    client.delete(f"/jobs/{first}")
    assert client.get(f"/jobs/{second}").json()["shared_with"] == [third]


def test_all_findings_are_exported_as_csv_without_formulas(client: httpx.Client, platform: Platform) -> None:
    job = published.ready_job(platform)
    names = ["=cmd|' /C calc'!A0", " =1", "\uff1d1", "\nb", 'with "quotes", commas', "zwei\nZeilen", "ü.xml"]
    found = [
        {
            "code": "odd",
            "severity": "note",
            "path": names[n % len(names)],
            "line": n or None,
            "detail": "d",
            "remedy": "r",
        }
        for n in range(2500)
    ]
    with platform.db.transaction() as session:
        session.execute(insert(FindingRow), [{"job_id": job.id, "number": n + 1, **f} for n, f in enumerate(found)])
    answer = client.get(f"/jobs/{job.id}/findings.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert 'attachment; filename="raccoons-findings.csv"' in answer.headers["content-disposition"]
    read = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["line"] for row in read] == ["", *(str(n) for n in range(1, 2500))]
    assert [row["path"] for row in read[:7]] == [
        *("'=cmd|' /C calc'!A0", "' =1", "'\uff1d1", "'\nb"),
        *('with "quotes", commas', "zwei\nZeilen", "ü.xml"),
    ]
    assert list(csv.reader(io.StringIO(client.get(f"/jobs/{job.id}/findings.csv?code=none").text))) == [
        ["code", "severity", "path", "line", "detail", "remedy"]
    ]
    problem(client.get("/jobs/job_nope/findings.csv"), 404, "job-not-found")
