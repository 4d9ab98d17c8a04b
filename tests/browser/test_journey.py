"""From a ZIP to a model and its successor, in the browser, on a real stack with real trainings."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from darkroom import Client
from deploy.local.private_stack import PrivateStack, start_stack, stop_stack, wait_until_it_answers
from pipeline.samples.scenes import draw_scenes, write_archive
from tests.browser.visits import Visits, drop
from tests.builders.voc import annotation, image_bytes, zip_files
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


def test_a_zip_becomes_a_model_and_its_successor(visits: Visits, stack: PrivateStack, tmp_path: Path) -> None:
    page = visits.open(f"{stack.api_url}/ui/")
    page.set_default_timeout(60_000)
    write_archive(tmp_path / "shapes.zip", scenes=24, seed=0)
    d1 = _upload(page, (tmp_path / "shapes.zip").read_bytes())
    _read_findings(page)
    _train(page)
    _open_its_version(page, "v1")
    _set_production(page)
    _wait_for_the_export(stack, "v1")
    _predict(page, stack)
    d2 = _correct(page, stack, d1)
    d3 = _extend(page, tmp_path / "more.zip")
    with Client(stack.api_url) as client:
        assert [client.datasets.get(each).images for each in (d1, d2, d3)] == [24, 23, 27]

    _train(page)
    _open_its_version(page, "v2")
    _compare(page, stack, dataset="d3")
    page.goto(f"{stack.api_url}/ui/projects/{PROJECT}/versions/2")
    _set_production(page)
    _roll_back(page, stack)
    with Client(stack.api_url) as client:
        assert client.aliases.get(PROJECT, "production").version == "v1"


def _upload(page: Page, archive: bytes) -> str:
    """Dropped on the empty home page. The id of its dataset, whose page is then open and ready."""
    expect(page.get_by_role("heading", name="From a ZIP of labelled images")).to_be_visible()
    drop(page, [("shapes.zip", archive)])
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Project").fill(PROJECT)
    dialog.get_by_role("button", name="Upload").click()
    return _wait_for_a_dataset(page)


def _wait_for_a_dataset(page: Page, other_than: str = "none") -> str:
    page.wait_for_url(lambda url: "/ui/datasets/job_" in url and other_than not in url, timeout=LONG_MS)
    expect(page.get_by_role("link", name="Train", exact=True)).to_be_visible(timeout=LONG_MS)
    page.wait_for_load_state()
    return page.url.rpartition("/")[2]


def _read_findings(page: Page) -> None:
    page.get_by_role("link", name=re.compile("^Findings")).first.click()
    page.wait_for_url("**/findings")
    expect(page.get_by_role("heading", name="Nothing was found")).to_be_visible()
    page.get_by_role("link", name="To the dataset").click()


def _train(page: Page) -> None:
    """A small training, by the form of the dataset that is open."""
    page.get_by_role("link", name="Train", exact=True).click()
    page.wait_for_url("**/train")
    page.locator("[data-param=model] input").fill("yolov8n")
    page.evaluate("() => document.querySelectorAll('details').forEach((each) => (each.open = true))")
    for name, value in {"epochs": "1", "imgsz": "64", "batch": "8"}.items():
        page.locator(f"[data-param={name}] input").fill(value)
    page.locator("[data-param=pretrained] select").select_option("never")
    page.get_by_role("button", name="Start the training").click()
    page.wait_for_url("**/ui/runs/run_*", timeout=120_000)


def _open_its_version(page: Page, version: str) -> None:
    """From the page of the run, which is left open until the curves and then the version are there."""
    expect(page.locator("#figures tbody tr")).to_have_count(1, timeout=LONG_MS)
    expect(page.locator("[data-chart] .u-over").first).to_be_visible()
    page.get_by_role("link", name="Look at it").click(timeout=LONG_MS)
    expect(page.get_by_role("heading", level=1)).to_contain_text(version)


def _predict(page: Page, stack: PrivateStack) -> None:
    page.goto(f"{stack.api_url}/ui/predict?model={PROJECT}")
    scene = {"name": "scene.jpg", "mimeType": "image/jpeg", "buffer": _scene()}
    page.get_by_label("Choose images").set_input_files(scene)  # type: ignore[arg-type]  # FilePayload
    expect(page.locator("[data-count]").first).to_have_text(re.compile(r"\d"), timeout=120_000)
    expect(page.locator("[data-loading]")).to_contain_text("loading the model (first use)")


def _correct(page: Page, stack: PrivateStack, job_id: str) -> str:
    """An image is taken out. The id of the revision without it, whose page is then open."""
    page.goto(f"{stack.api_url}/ui/datasets/{job_id}/images")
    page.get_by_role("list", name="Images").get_by_role("link").first.click()
    page.get_by_role("button", name="Edit", exact=True).click()
    page.get_by_role("button", name="Take the image out").click()
    expect(page.get_by_text("To be taken out")).to_be_visible()
    page.get_by_role("link", name="All drafts").click()
    page.wait_for_url("**/corrections")
    page.get_by_role("button", name="Apply as the next revision").click()
    page.get_by_role("dialog").get_by_role("button", name="Apply", exact=True).click()
    return _wait_for_a_dataset(page, other_than=job_id)


def _extend(page: Page, archive: Path) -> str:
    """The dataset that is open, by four images. The id of the extended one, whose page is then open."""
    files = {}
    for number in range(4):
        files[f"images/more{number}.jpg"] = image_bytes(seed=number)
        files[f"annotations/more{number}.xml"] = annotation(f"more{number}.jpg", [("circle", 5, 5, 60, 40)])
    before = page.url.rpartition("/")[2]
    page.get_by_role("button", name="Extend").click()
    zip_files(archive, files)
    page.get_by_role("dialog").locator("[data-upload-files]").set_input_files(archive)
    page.get_by_role("dialog").get_by_role("button", name="Upload").click()
    return _wait_for_a_dataset(page, other_than=before)


def _compare(page: Page, stack: PrivateStack, *, dataset: str) -> None:
    """On the test split of `dataset`; the page is left open until both versions are evaluated."""
    page.goto(f"{stack.api_url}/ui/projects/{PROJECT}/compare?a=v1&b=v2")
    option = page.get_by_label("On", exact=True).locator("option", has_text=f"{dataset} ·")
    page.get_by_label("On", exact=True).select_option(option.get_attribute("value"))
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_role("button", name=re.compile("^Promote v"))).to_be_visible(timeout=LONG_MS)


def _roll_back(page: Page, stack: PrivateStack) -> None:
    page.goto(f"{stack.api_url}/ui/projects/{PROJECT}/models")
    page.get_by_role("button", name="Roll back to v1").click()
    page.get_by_role("dialog").get_by_role("button", name="Roll back to v1").click()
    expect(page.get_by_text("rolled back")).to_be_visible()


def _set_production(page: Page) -> None:
    page.get_by_role("button", name="Promote to production").click()
    page.get_by_role("dialog").get_by_role("button", name="Promote", exact=True).click()
    expect(page.locator("#version-facts").get_by_text("production")).to_be_visible()  # it reads itself again
    expect(page.get_by_role("button", name="Promote to production")).to_have_count(0)


def _wait_for_the_export(stack: PrivateStack, version: str) -> None:
    with Client(stack.api_url) as client:
        for waiting in client.exports.list(f"{PROJECT}/{version}").waiting:
            client.operations.wait(waiting, timeout=900)
        assert any(each.passed for each in client.exports.list(f"{PROJECT}/{version}").items)


def _scene() -> bytes:
    buffer = io.BytesIO()
    next(iter(draw_scenes(1, seed=5))).image.save(buffer, "JPEG")
    return buffer.getvalue()


def test_the_webcam_is_predicted_live_and_leaves_its_last_frame(visits: Visits, stack: PrivateStack) -> None:
    page = visits.open(f"{stack.api_url}/ui/predict?model={PROJECT}")
    page.get_by_role("button", name="Webcam").click()
    expect(page.locator("[data-fps]")).to_have_text(re.compile(r"\d"), timeout=120_000)
    page.get_by_role("button", name="Stop the webcam").click()
    expect(page.get_by_role("button", name="Webcam", exact=True)).to_be_visible()
    expect(page.get_by_role("img", name="frame.jpg").first).to_be_visible()
