"""From a ZIP to a model that answers, in the browser, on a real stack with a real training."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from darkroom import Client
from deploy.local.private_stack import PrivateStack, start_stack, stop_stack, wait_until_it_answers
from deploy.local.scenes import draw_scenes, write_archive
from tests.browser.visits import Visits, drop
from tests.servers import needed
from tests.servers.chromium import chromium

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

PROJECT = "shapes"
LONG_MS = 600_000  # of a training with its export, on a busy machine
FAKE_CAMERA = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateStack]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DARKROOM_EXPORT_ON_PUBLISH", "true")
        started = start_stack(tmp_path_factory.mktemp("stack"))
    try:
        list(wait_until_it_answers(started))
        yield started
    finally:
        stop_stack(started)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """With a camera that is none."""
    with needed(lambda: chromium(FAKE_CAMERA)) as opened:
        yield opened


def test_a_zip_becomes_a_model_that_answers_and_its_dataset_is_corrected(
    visits: Visits, stack: PrivateStack, tmp_path: Path
) -> None:
    page = visits.open(f"{stack.api_url}/ui/")
    page.set_default_timeout(60_000)
    expect(page.get_by_role("heading", name="From a ZIP of labelled images")).to_be_visible()

    write_archive(tmp_path / "shapes.zip", scenes=24, seed=0)
    drop(page, [("shapes.zip", (tmp_path / "shapes.zip").read_bytes())])
    page.get_by_role("dialog").get_by_label("Project").fill(PROJECT)
    page.get_by_role("dialog").get_by_role("button", name="Upload").click()
    page.wait_for_url("**/ui/datasets/job_*", timeout=120_000)
    first = page.url.rpartition("/")[2]
    page.get_by_role("link", name="Train").first.click(timeout=120_000)

    run = _train(page, stack, first)
    page.goto(f"{stack.api_url}/ui/runs/{run}")
    expect(page.locator("#figures tbody tr")).to_have_count(1, timeout=LONG_MS)
    page.get_by_role("link", name="Look at it").click(timeout=LONG_MS)
    expect(page.get_by_role("heading", level=1)).to_contain_text("v1")
    _set_production(page)

    _wait_for_the_export(stack, "v1")
    page.goto(f"{stack.api_url}/ui/predict?model={PROJECT}")
    page.locator("input[type=file]").first.set_input_files(
        {"name": "scene.jpg", "mimeType": "image/jpeg", "buffer": _scene()}
    )
    expect(page.locator("[data-count]").first).to_have_text(re.compile(r"\d"), timeout=60_000)

    page.goto(f"{stack.api_url}/ui/datasets/{first}/images")
    page.get_by_role("list", name="Images").get_by_role("link").first.click()
    page.get_by_role("button", name="Edit", exact=True).click()
    with page.expect_response(lambda answer: answer.request.method == "POST" and "/corrections" in answer.url):
        page.get_by_role("button", name="Take the image out").click()


def _train(page: Page, stack: PrivateStack, job_id: str) -> str:
    """By the form, with a small training. The id of its run."""
    page.goto(f"{stack.api_url}/ui/datasets/{job_id}/train?trainer=yolo&model=yolov8n")
    page.evaluate("() => document.querySelectorAll('details').forEach((each) => (each.open = true))")
    for name, value in {"epochs": "1", "imgsz": "64", "batch": "8"}.items():
        page.locator(f"[data-param={name}] input").fill(value)
    page.locator("[data-param=pretrained] select").select_option("never")
    page.get_by_role("button", name="Start the training").click()
    page.wait_for_url("**/ui/runs/run_*", timeout=120_000)
    return page.url.rpartition("/")[2]


def _set_production(page: Page) -> None:
    page.get_by_role("button", name="Set alias").click()
    page.get_by_role("dialog").get_by_role("button", name="Set the alias").click()
    expect(page.get_by_text("production").first).to_be_visible()


def _wait_for_the_export(stack: PrivateStack, version: str) -> None:
    with Client(stack.api_url) as client:
        for waiting in client.exports.list(f"{PROJECT}/{version}").waiting:
            client.operations.wait(waiting, timeout=900)
        assert any(each.passed for each in client.exports.list(f"{PROJECT}/{version}").items)


def _scene() -> bytes:
    buffer = io.BytesIO()
    next(iter(draw_scenes(1, seed=5))).image.save(buffer, "JPEG")
    return buffer.getvalue()


def test_the_webcam_is_predicted_live(visits: Visits, stack: PrivateStack) -> None:
    page = visits.open(f"{stack.api_url}/ui/predict?model={PROJECT}")
    page.get_by_role("button", name="Webcam").click()
    expect(page.locator("[data-fps]")).to_have_text(re.compile(r"\d"), timeout=60_000)
