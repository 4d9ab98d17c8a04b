"""Try it: the models that are offered, the images, and what is fetched for the page."""

import re
from html import unescape
from pathlib import Path

import httpx
import pytest

from core.services.context import Platform
from core.services.models.versions import set_alias
from core.services.projects import commands as projects
from tests.builders import rows, served
from tests.builders.indexed import indexed_image, indexed_job
from tests.builders.voc import image_bytes
from tests.integration.api.pages.test_shell import page_of
from tests.servers.api import problem, serving
from tests.servers.file_host import INSIDE, file_host


def options_of(page: str, key: str) -> dict[str, str]:
    """Of a chooser of versions: why each does not answer."""
    (chooser,) = re.findall(rf'<select id="model-{key}".*?</select>', page, re.S)
    found = re.findall(r'<option value="([^"]*)" data-version="[^"]*" data-reason="([^"]*)"', chooser)
    return {unescape(name): unescape(reason) for name, reason in found}


def chosen_in(page: str, key: str) -> str:
    (chooser,) = re.findall(rf'<select id="model-{key}".*?</select>', page, re.S)
    (value,) = re.findall(r'<option value="([^"]*)"[^>]* selected', chooser)
    return unescape(value)


def test_without_a_model_the_page_leads_to_the_projects(client: httpx.Client) -> None:
    page = page_of(client, "/ui/predict")
    assert "No model yet" in page and 'href="/ui/"' in page and "predict.js" not in page


def test_versions_are_offered_with_the_reason_why_one_does_not_answer(
    client: httpx.Client, platform: Platform, tmp_path: Path
) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"onnx")
    for passed in (True, False, True):
        served.publish(platform, "squares", file, passed=passed)
    served.publish(platform, "others", file)
    set_alias(platform.db, "squares", "production", version="v1")
    set_alias(platform.db, "squares", "shadow", version="v2")

    page = page_of(client, "/ui/predict?model=squares/v3&beside=squares@shadow")
    found = options_of(page, "a")
    assert list(found) == ["squares", "squares@shadow", "squares/v3", "squares/v2", "squares/v1"]
    assert "did not pass" in found["squares/v2"] and "did not pass" in found["squares@shadow"]
    assert {name for name, reason in found.items() if not reason} == {"squares", "squares/v3", "squares/v1"}
    assert (chosen_in(page, "a"), chosen_in(page, "b")) == ("squares/v3", "squares@shadow")
    assert chosen_in(page_of(client, "/ui/predict?project=squares"), "a") == "squares"
    assert chosen_in(page_of(client, "/ui/predict"), "a") == "others", "the newest project, without a name"
    assert ">others</option>" in page
    for name, status in (("nope", 404), ("squares/v9", 404), ("<script>alert(1)", 404)):
        page = page_of(client, f"/ui/predict?model={name}", status)
        assert 'class="problem"' in page and 'id="project-a"' in page and "<script>alert" not in page


def test_images_of_the_test_split_are_offered_by_hostile_names(client: httpx.Client, platform: Platform) -> None:
    hostile = '"><img src=x onerror=alert(1)>\u202e.jpg'
    contents = {hostile: image_bytes(seed=1), "b.jpg": image_bytes(seed=2), "c.jpg": image_bytes(seed=3)}
    splits = {hostile: "test", "b.jpg": "train", "c.jpg": "test"}
    images = {indexed_image(path, content, split=splits[path]): content for path, content in contents.items()}
    job = indexed_job(platform, images)
    projects.update_project(platform.db, job.project, slug="yard", title=None, description=None, settings=None)
    rows.publish(platform, rows.running_run(platform, job.id))
    page = page_of(client, "/ui/predict?model=yard/v1")
    names = [unescape(name) for name in re.findall(r'data-sample="[^"]+" data-name="([^"]*)"', page)]
    assert sorted(names) == sorted([hostile, "c.jpg"]) and "<img src=x" not in page
    assert "Training has not seen them" in page
    (address,) = re.findall(r'data-sample="([^"]+)" data-name="c.jpg"', page)
    assert client.get(address).content == contents["c.jpg"]


@pytest.mark.parametrize(("hosts", "offered"), [("", False), ("images.example", True)])
def test_a_url_is_fetched_from_hosts_that_the_operator_names_alone(
    platform: Platform, hosts: str, offered: bool, tmp_path: Path
) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"onnx")
    served.publish(platform, "squares", file)
    with serving(platform, image_hosts=hosts) as client:
        page = page_of(client, "/ui/predict")
        assert ('name="url"' in page, "DARKROOM_IMAGE_HOSTS" in page) == (offered, not offered)
        for url in ("http://127.0.0.1:1/a.jpg", "https://elsewhere.example/a.jpg", "file:///etc/passwd"):
            problem(client.get("/ui/predict/image", params={"url": url}), 422, "image-url-refused")


def test_the_page_reads_an_image_of_an_allowed_host_as_bytes_alone(platform: Platform) -> None:
    markup = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    with file_host(INSIDE) as host:
        host.content, host.headers = markup, {"Content-Type": "image/svg+xml"}
        names = {"image_hosts": f"{INSIDE}:{host.port}", "private_networks": INSIDE}
        with serving(platform, **names) as client:
            answer = client.get("/ui/predict/image", params={"url": host.url("/a.svg", INSIDE)})
    assert answer.content == markup and answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (answer.headers["content-disposition"], answer.headers["cache-control"]) == ("attachment", "no-store")


def test_the_token_is_in_no_page(platform: Platform, tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"onnx")
    served.publish(platform, "squares", file)
    with serving(platform, api_token="the-secret-token-0123456789") as client:
        page = client.get(
            "/ui/predict", headers={"accept": "text/html", "authorization": "Bearer the-secret-token-0123456789"}
        ).text
        assert 'data-token="yes"' in page and "the-secret" not in page
