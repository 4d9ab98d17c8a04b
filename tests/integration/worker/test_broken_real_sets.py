"""The three real sets, broken by hand, over HTTP: every fault is reported in one pass, skipped, and repaired."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.services.context import Platform
from tests.builders.broken_sets import BrokenSet, Found, broken_digits, broken_nuts, broken_raccoons
from tests.servers.api import serving
from worker.context import Worker
from worker.tasks.prepare import prepare_job

DATA = Path(os.environ.get("DARKROOM_TEST_DATA") or "unset") / "data"
SETS = {"raccoon": broken_raccoons, "nuts": broken_nuts, "signdigits": broken_digits}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason="set DARKROOM_TEST_DATA to a folder with data/*.zip to break them"),
]


@pytest.fixture(params=list(SETS))
def broken(request: pytest.FixtureRequest) -> BrokenSet:
    make: Callable[[Path], BrokenSet] = SETS[request.param]
    return make(DATA)


class Desk:
    """The API, and a worker that prepares at once what it is sent."""

    def __init__(self, client: httpx.Client, platform: Platform) -> None:
        self.client = client
        self.worker = Worker(platform, "prepare", "test")

    def upload(self, archive: Path, **options: str) -> dict[str, Any]:
        with archive.open("rb") as body:
            answer = self.client.post("/upload-dataset", params=options, content=body, headers=ZIP)
        assert answer.status_code == 202, answer.text
        return self.prepared(answer.json()["job_id"])

    def repair(self, job_id: str) -> dict[str, Any]:
        answer = self.client.post(f"/jobs/{job_id}/repair")
        assert answer.status_code == 202, answer.text
        return self.prepared(answer.json()["job_id"])

    def prepared(self, job_id: str) -> dict[str, Any]:
        prepare_job(self.worker, job_id)
        job: dict[str, Any] = self.client.get(f"/jobs/{job_id}").json()
        return job

    def paged(self, path: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = self.client.get(path, params={"limit": 500} | ({"cursor": cursor} if cursor else {})).json()
            items, cursor = items + page["items"], page["next_cursor"]
            if cursor is None:
                return items


ZIP = {"content-type": "application/zip"}


@pytest.fixture
def desk(platform: Platform) -> Iterator[Desk]:
    with serving(platform) as client:
        yield Desk(client, platform)


def test_every_fault_is_reported_at_once_with_its_code_file_and_line(
    desk: Desk, broken: BrokenSet, tmp_path: Path
) -> None:
    job = desk.upload(broken.write(tmp_path / "broken.zip"))
    assert job["state"] == "rejected"
    findings = desk.paged(f"/jobs/{job['job_id']}/findings")
    assert _missing(broken.seeded, findings) == []
    seeded_errors = {(code, path) for code, path, _ in broken.seeded}
    errors = [(each["code"], each["path"]) for each in findings if each["severity"] == "error"]
    assert [error for error in errors if error not in seeded_errors] == [], "nothing that was whole is called broken"
    assert Counter(each["code"] for each in findings) == {
        code: entry["count"] for code, entry in job["findings"].items()
    }


def test_what_is_broken_is_skipped_and_the_rest_is_taken(desk: Desk, broken: BrokenSet, tmp_path: Path) -> None:
    job = desk.upload(broken.write(tmp_path / "broken.zip"), on_error="skip")
    assert (job["state"], job["images"]) == ("ready", broken.images - len(broken.lost)), job["problem"]
    assert _missing(broken.seeded, desk.paged(f"/jobs/{job['job_id']}/findings")) == [], "they are listed all the same"


def test_a_repaired_set_is_accepted_with_all_that_could_be_repaired(
    desk: Desk, broken: BrokenSet, tmp_path: Path
) -> None:
    rejected = desk.upload(broken.write(tmp_path / "broken.zip"))
    job = desk.repair(rejected["job_id"])
    assert (job["state"], job["images"]) == ("ready", broken.images - len(broken.beyond)), job["problem"]
    assert {entry["severity"] for entry in job["findings"].values()} <= {"warning", "note"}
    changes = desk.paged(f"/jobs/{job['job_id']}/repair-log")
    left_out = {each["path"] for each in changes if each["code"] == "repair-image-left-out"}
    assert left_out == broken.beyond


def _missing(seeded: list[Found], findings: list[dict[str, Any]]) -> list[Found]:
    reported = {(each["code"], each["path"], each["line"]) for each in findings}
    return [found for found in seeded if found not in reported]
