"""What a browser adds to the pages: Back, no script, a token, a connection that is lost, names that are hostile."""

import re
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import pytest
from playwright.sync_api import expect
from pydantic import SecretStr

from core.db.migrate import upgrade
from core.db.tables import OperationRow, RunRow
from core.services.context import Platform, open_platform
from core.services.models.evaluations import EvaluationRequest, request_evaluation
from core.services.models.versions import set_alias
from core.services.projects import commands as projects
from core.services.work.leases import report_progress
from core.settings import Settings
from pipeline.evaluation.detection_metrics import ImageBoxes
from tests.browser import pages
from tests.browser.service import PROJECT, Service, service, suspects
from tests.browser.visits import OVERFLOWS, Visits, set_hidden
from tests.builders import answered, published, rows
from tests.builders.evaluated import claimed
from tests.builders.indexed import box, indexed_image, indexed_job
from tests.builders.prepared import prepared_job
from tests.builders.voc import annotation, image_bytes, voc_zip, zip_files
from tests.servers.api import serving
from worker.context import Worker
from worker.tasks.prepare import prepare_job

MARKUP = "<img src=x onerror=document.title='broken'>"
HOSTILE = f"{MARKUP}\u202e{'ü' * 60}"


def test_back_and_reload_keep_the_place(visits: Visits, furnished: Service) -> None:
    job_id = furnished.examples["job_id"]
    page = visits.open(f"{furnished.url}/ui/projects/{PROJECT}")
    page.goto(f"{furnished.url}/ui/datasets/{job_id}/images?split=train&sort=-boxes")
    address, listed = page.url, page.locator("main img").count()
    assert listed > 0
    page.reload()
    expect(page.locator("main img")).to_have_count(listed)
    page.goto(f"{furnished.url}/ui/datasets/{job_id}/findings")
    page.go_back()
    assert page.url == address
    expect(page.locator("main img")).to_have_count(listed)
    page.go_back()
    assert page.url.endswith(f"/ui/projects/{PROJECT}")
    expect(page.get_by_role("heading", level=1)).to_contain_text(PROJECT)


def test_boxes_lie_on_the_image_that_was_answered(visits: Visits, furnished: Service) -> None:
    """The images are square and their frames are not."""
    page = visits.open(f"{furnished.url}/ui/projects/{PROJECT}/versions/1/images")
    frame = page.locator(".answer-image").first
    assert frame.locator("img").bounding_box() == frame.locator(".answer-boxes").bounding_box() == frame.bounding_box()


def test_lists_metadata_and_downloads_need_no_script(visits: Visits, furnished: Service) -> None:
    page = visits.open(f"{furnished.url}/ui/", java_script_enabled=False)
    page.locator(f"main a[href='/ui/projects/{PROJECT}']").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(PROJECT)
    page.goto(f"{furnished.url}/ui/datasets/{furnished.examples['job_id']}")
    with page.expect_download() as started:
        page.get_by_role("link", name="Download the metadata").click()
    assert b"fingerprint" in Path(started.value.path()).read_bytes()
    page.goto(f"{furnished.url}/ui/projects/{PROJECT}/versions/1")
    with page.expect_download() as started:
        page.get_by_role("link", name="Weights").click()
    assert Path(started.value.path()).read_bytes() == b"weights"


def test_the_keyboard_alone_reaches_what_a_page_is_for(visits: Visits, furnished: Service) -> None:
    page = visits.open(f"{furnished.url}/ui/")
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.textContent") == "Skip to the content"
    for path, role, name in (
        ("/ui/", "button", "New dataset"),
        (f"/ui/datasets/{furnished.examples['job_id']}/train", "button", "Start the training"),
        (f"/ui/projects/{PROJECT}/versions/1", "link", "Try it"),
    ):
        page.goto(furnished.url + path)
        wanted = page.get_by_role("main").get_by_role(role, name=name).first  # type: ignore[arg-type]  # a name of a role
        expect(wanted).to_be_visible()
        reached = page.evaluate(
            "(name) => [...document.querySelectorAll('a[href], button, input, select, textarea, [tabindex]')]"
            ".some((each) => each.textContent.includes(name) && each.tabIndex >= 0 && !each.disabled)",
            name,
        )
        assert reached, path


def test_a_token_is_given_once_and_signing_out_ends_the_session(visits: Visits, tmp_path: Path) -> None:
    visits.expect_fault("401")
    with service(tmp_path, api_token=SecretStr("a secret of twenty letters")) as made:
        page = visits.open(f"{made.url}/ui/system")
        expect(page.get_by_role("heading", level=1)).to_contain_text("Sign in")
        page.get_by_label("Token").fill("not the token")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_text("This is not the token of this service.")).to_be_visible()
        page.get_by_label("Token").fill("a secret of twenty letters")
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/ui/system")
        (cookie,) = page.context.cookies()
        assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and "secret" not in cookie["value"]
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/ui/login*")
        page.goto(f"{made.url}/ui/")
        expect(page.get_by_role("heading", level=1)).to_contain_text("Sign in")


def test_the_curves_of_a_run_follow_it_also_after_the_tab_was_hidden(visits: Visits, tmp_path: Path) -> None:
    with service(tmp_path) as made:
        platform = made.platform
        job = published.ready_job(platform, project="followed")
        claim = rows.running_run(platform, job.id, lease=3600)
        page = visits.open(f"{made.url}/ui/runs/{claim.id}")
        _epoch(platform, claim, 1)
        expect(page.locator("#figures tbody tr")).to_have_count(1)
        set_hidden(page, True)
        _epoch(platform, claim, 2)
        _epoch(platform, claim, 3)
        set_hidden(page, False)
        expect(page.locator("#figures tbody tr")).to_have_count(3)
        _epoch(made.platform, claim, 4)
        expect(page.locator("#figures tbody tr")).to_have_count(4)
        plot = page.locator("[data-chart] .u-over").first
        expect(plot).to_be_visible()
        box = plot.bounding_box()
        assert box
        page.mouse.move(box["x"] + box["width"] - 3, box["y"] + box["height"] / 2)
        expect(page.locator("[data-series]").first).to_have_attribute("title", re.compile("^Epoch 4[.]"))
        page.reload()
        expect(page.locator("#figures tbody tr")).to_have_count(4)


def test_open_pages_come_back_by_themselves_when_the_api_has_restarted(visits: Visits, tmp_path: Path) -> None:
    visits.expect_fault(
        "ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_EMPTY_RESPONSE"
    )
    url = f"sqlite:///{tmp_path / 'darkroom.db'}"
    upgrade(url)
    platform = open_platform(Settings(home=tmp_path / "home", database_url=url))
    claim = rows.running_run(platform, published.ready_job(platform, project="before").id, lease=3600)
    _epoch(platform, claim, 1)
    with serving(platform) as api:
        base, port = str(api.base_url), api.base_url.port
        run = visits.open(f"{base}/ui/runs/{claim.id}")
        home = visits.open(f"{base}/ui/")
        expect(run.locator("#stream-state")).to_have_text("Live")
        expect(run.locator("#figures tbody tr")).to_have_count(1)
        expect(home.get_by_role("link", name="before").first).to_be_visible()
    expect(run.locator("#stream-state")).to_have_text("Reconnecting …")
    _epoch(platform, claim, 2)
    published.ready_job(platform, project="meanwhile")
    with serving(platform, port=port):
        expect(run.locator("#stream-state")).to_have_text("Live", timeout=60_000)
        expect(run.locator("#figures tbody tr")).to_have_count(2)
        expect(home.get_by_role("link", name="meanwhile").first).to_be_visible(timeout=60_000)
        _epoch(platform, claim, 3)
        expect(run.locator("#figures tbody tr")).to_have_count(3)
        visits.close()
    platform.db.close()


def test_an_alias_that_somebody_else_moves_is_moved_on_an_open_page_or_is_a_question(
    visits: Visits, tmp_path: Path
) -> None:
    visits.expect_fault(r"/ui/events.*ERR_FAILED")
    with service(tmp_path) as made:
        db = made.platform.db
        job = published.ready_job(made.platform, project="moved")
        for _ in range(2):
            published.version(made.platform, job.id, b"weights")
        live = visits.open(f"{made.url}/ui/projects/moved/versions/2")
        stale = visits.open(f"{made.url}/ui/projects/moved/versions/1")
        stale.route("**/ui/events*", lambda route: route.abort())
        stale.reload()
        set_alias(db, "moved", "production", version="v2")
        expect(live.locator("#version-facts").get_by_text("production")).to_be_visible()
        expect(live.get_by_role("button", name="Promote to production")).to_have_count(0)
        stale.get_by_role("button", name="Promote to production").click()
        stale.get_by_role("button", name="Promote", exact=True).click()
        expect(
            stale.get_by_text("It pointed at nothing when this page was made, and points at v2 now.")
        ).to_be_visible()
        stale.get_by_role("button", name="Point it at v1").click()
        expect(stale.locator("#version-facts").get_by_text("production")).to_be_visible()
        assert made.client.aliases.get("moved", "production").version == "v1"
        expect(live.get_by_role("button", name="Promote to production")).to_be_visible()


def test_a_page_that_waits_for_an_evaluation_fills_in_by_itself(visits: Visits, tmp_path: Path) -> None:
    with service(tmp_path) as made:
        platform, content = made.platform, image_bytes(size=(96, 64))
        image = indexed_image("a.jpg", content, split="test", boxes=(box(0, 10, 10, 40, 40),))
        job = indexed_job(platform, {image: content}, classes=("ball",), project="yard")
        found = {"a.jpg": ImageBoxes(np.array([[0, 10, 10, 40, 40.0]]), np.array([[10, 10, 40, 40, 0.9, 0]]))}
        version = answered.trained(platform, job, {"test": {"mAP50": 0.5}})
        request = EvaluationRequest(job.id, version="yard/v1")
        operation = request_evaluation(platform, request).operation
        page = visits.open(f"{made.url}/ui/projects/yard/versions/1/images")
        expect(page.get_by_text("waits for a worker")).to_be_visible()
        claim = claimed(platform, operation.id)
        report_progress(platform.db, OperationRow, claim, stage="predicting", progress={"done": 1, "total": 3})
        expect(page.get_by_text("Evaluating now, 1 of 3")).to_be_visible()
        answered.evaluated_detector(platform, version, job, found, ("ball",), claim=claim)
        expect(page.locator("#answers .answer")).to_have_count(1)
        expect(page.locator("#answers img")).to_have_js_property("naturalWidth", 96)


def _epoch(platform: Platform, claim: Any, epoch: int) -> None:
    progress = {
        "epoch": epoch,
        "epochs": 5,
        "metrics": {"mAP50": 0.1 * epoch, "val/box_loss": 1.0},
        "seconds_left": 9.0,
    }
    report_progress(platform.db, RunRow, claim, progress=progress)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_hostile_names_break_no_page(visits: Visits, tmp_path: Path) -> None:
    """Of files, of classes, of a project's title: markup, a change of direction, length."""
    files = {}
    for number in range(10):
        name = f"{number}{HOSTILE}".replace("/", "")
        files[f"images/{name}.jpg"] = image_bytes(seed=number)
        files[f"annotations/{name}.xml"] = annotation(
            escape(f"{name}.jpg"), [(escape(f"{MARKUP}{'x' * 120}"), 5, 5, 60, 40)]
        )
    with service(tmp_path) as made:
        job = prepared_job(made.platform, zip_files(tmp_path / "hostile.zip", files), project="hostile")
        assert job.state == "ready", job.problem
        projects.update_project(
            made.platform.db, "hostile", slug=None, title=HOSTILE, description=HOSTILE, settings=None
        )
        image = next(iter(made.client.datasets.images(job.id)))
        artifacts = {"suspect_labels.json": suspects(image.path)}
        version, _ = (published.version(made.platform, job.id, b"weights", artifacts=artifacts) for _ in range(2))
        examples = {
            **{"project": "hostile", "job_id": job.id, "run_id": str(version.run_id), "slug": "job-not-ready"},
            **{"a": job.id, "b": job.id, "before": job.id, "after": job.id},
            **{"n": "1", "number": "1", "version": "v1", "sha256": image.sha256},
        }
        page = visits.open(f"{made.url}/ui/", width=390)
        wrong = []
        for address in pages.addresses(examples):
            page.goto(made.url + address)
            if page.title() == "broken" or page.locator("img[src=x]").count():
                wrong.append(f"{address}: a name became markup")
            if beyond := page.evaluate(OVERFLOWS):
                wrong.append(f"{address}: {beyond} px wider than the window")
        assert wrong == [], "\n".join(wrong)


def test_without_data_and_with_broken_data_a_click_makes_a_dataset(visits: Visits, tmp_path: Path) -> None:
    with service(tmp_path) as made:
        page = visits.open(f"{made.url}/ui/")
        page.get_by_role("button", name="Try it with sample images").first.click()
        page.wait_for_url("**/ui/datasets/job_*")
        expect(page.get_by_role("heading", level=1)).to_contain_text("sample-shapes/d1")

        rejected = prepared_job(made.platform, voc_zip(tmp_path / "balls.zip", broken="box_inverted"), project="balls")
        page.goto(f"{made.url}/ui/datasets/{rejected.id}")
        page.get_by_role("button", name="Prepare without the broken items").click()
        page.wait_for_url(lambda url: rejected.id not in url)
        expect(page.get_by_role("heading", name="Waits for a worker")).to_be_visible()
        prepare_job(Worker(made.platform, "prepare", "test"), page.url.rpartition("/")[2])
        expect(page.get_by_role("link", name="Train", exact=True)).to_be_visible()
        expect(page.get_by_text("It is ready to train on.")).to_be_visible()
        page.close()  # before the service: its stream would complain


def test_an_answer_that_is_lost_after_a_draft_was_saved_leads_nowhere(visits: Visits, tmp_path: Path) -> None:
    visits.expect_fault("ERR_FAILED")
    with service(tmp_path) as made:
        job = prepared_job(made.platform, voc_zip(tmp_path / "balls.zip"), project="balls")
        page = visits.open(f"{made.url}/ui/datasets/{job.id}/images")
        page.get_by_role("list", name="Images").get_by_role("link").first.click()
        page.get_by_role("button", name="Edit", exact=True).click()
        page.evaluate("() => (window.stays = true)")
        page.route("**/images?image=*", lambda route: route.abort())  # as the browser does once somebody leaves
        page.get_by_role("button", name="Take the image out").click()
        expect(page.get_by_text("The service did not answer. Try again.")).to_be_visible()
        assert page.evaluate("() => window.stays")
        page.goto(f"{made.url}/ui/datasets/{job.id}/corrections")
        expect(page.get_by_role("button", name="Apply as the next revision")).to_be_visible()
