"""Two versions on a page: what it says, image by image, and what it says while that is not there."""

import json
import re
from collections.abc import Sequence
from html import unescape

import httpx
import numpy as np

from core.db.tables import JobRow
from core.services.context import Platform
from core.services.operations.commands import get_operation
from pipeline.evaluation.detection_metrics import ImageBoxes
from pipeline.evaluation.image_results import ImageResults
from tests.builders import rows
from tests.builders.evaluated import claimed, published
from tests.builders.image_results import classifier, detector
from tests.builders.indexed import box, indexed_image, indexed_job
from tests.builders.voc import image_bytes
from tests.integration.api.pages.test_shell import page_of
from tests.integration.api.test_compare_versions import _freeze

HOSTILE = "<img src=x onerror=alert(1)>\u202e'\".jpg"
PATHS = ("0.jpg", HOSTILE, *(f"{number}.jpg" for number in range(2, 30)))
BALL, CUBE = [0, 10, 10, 40, 40], [1, 50, 5, 90, 60]
BOTH = np.array([[10, 10, 40, 40, 0.9, 0], [50, 5, 90, 60, 0.8, 1]], float)


def detectors(first: int, second: int) -> list[ImageResults]:
    """Both find all balls, and cubes from the `first` and from the `second` image on."""
    truth = np.array([BALL, CUBE], float)
    return [
        detector(
            [ImageBoxes(truth, BOTH if number >= start else BOTH[:1]) for number in range(len(PATHS))],
            classes=("ball", "cube"),
            paths=PATHS,
        )
        for start in (first, second)
    ]


def compared(
    platform: Platform, client: httpx.Client, results: Sequence[ImageResults], *, kind: str = "detection"
) -> tuple[JobRow, str]:
    """The job, and the page of v1 and v2."""
    contents = {path: image_bytes(size=(96, 64), seed=number) for number, path in enumerate(PATHS)}
    label = 0 if kind == "classification" else None
    boxes = () if kind == "classification" else (box(0, *BALL[1:]), box(1, *CUBE[1:]))
    images = {
        indexed_image(path, content, split="test", label=label, boxes=boxes): content
        for path, content in contents.items()
    }
    job = indexed_job(platform, images, classes=("ball", "cube"), kind=kind)
    for _ in results:
        rows.publish(platform, rows.running_run(platform, job.id))
    _freeze(platform, job.id, job.project_id, str(job.fingerprint))
    address = f"/ui/projects/{job.project}/compare?a=v1&b=v2"
    found = client.get(f"/projects/{job.project}/compare", params={"a": "v1", "b": "v2"}).json()
    for operation, each in zip(found["operations"], results, strict=True):
        published(platform, claimed(platform, operation["operation_id"]), {}, results=each)
    return job, address


def test_the_page_says_which_version_is_better_and_opens_the_images(client: httpx.Client, platform: Platform) -> None:
    job, address = compared(platform, client, detectors(20, 3))
    page = page_of(client, address)
    said = unescape(re.findall(r"data-verdict>([^<]+)<", page)[0])
    bounds = r"[(]0[.]\d+ to 0[.]\d+ with a confidence of 95 %[)]"
    assert re.fullmatch(rf"v2 is better than v1: mAP50 is 0[.]\d+ higher {bounds}", said)
    assert "1 is every box found before a false one" in page
    cube, ball = re.findall(r'<th scope="row"><bdi class="cut" title="(cube|ball)">', page)
    assert (cube, ball) == ("cube", "ball"), "that of the largest change first"
    assert page.count('class="badge success"') >= 2

    pairs = [json.loads(unescape(each)) for each in re.findall(r"data-pair='([^']*)'", page)]
    assert len(pairs) == 12 and "<img src=x" not in page
    rest = page_of(client, unescape(re.findall(r'rel="next" href="([^"]+)"', page)[0]))
    more = [json.loads(unescape(each)) for each in re.findall(r"data-pair='([^']*)'", rest)]
    assert len({each["path"] for each in pairs + more}) == 17
    by_path = {each["path"]: each for each in pairs + more}
    assert HOSTILE not in by_path and "3.jpg" in by_path
    (missed,) = [each for each in by_path["3.jpg"]["first"]["boxes"] if each["outcome"] == "missed"]
    assert missed["class"] == "cube" and by_path["3.jpg"]["truth"][1]["width"] == 40
    assert "No image." in page_of(client, f"{address}&outcome=lost")

    swapped = page_of(client, f"/ui/projects/{job.project}/compare?a=v2&b=v1")
    assert "v1 is worse than v2: mAP50 is 0." in swapped and " lower (0." in swapped
    assert "Both were trained on the same dataset" in page


def test_a_small_change_is_not_called_better(client: httpx.Client, platform: Platform) -> None:
    _, address = compared(platform, client, detectors(2, 1))
    page = page_of(client, address)
    said = re.findall(r"data-verdict>([^<]+)<", page)[0]
    assert "is not certainly better than" in said and " higher (" in said and "cannot say" in page
    lost = page_of(client, address.replace("a=v1&b=v2", "a=v2&b=v1&outcome=lost"))
    assert HOSTILE in unescape(lost) and "<img src=x" not in lost


def test_classifiers_are_compared_by_their_labels(client: httpx.Client, platform: Platform) -> None:
    labels = [0] * len(PATHS)
    results = [
        classifier([1] * wrong + [0] * (len(PATHS) - wrong), labels, classes=("ball", "cube"), paths=PATHS)
        for wrong in (20, 2)
    ]
    _, address = compared(platform, client, results, kind="classification")
    page = page_of(client, address)
    assert "accuracy goes from" in page and "1 is every image right" in page and "is better than" in page
    assert page.count('class="wrong-answer"') == page.count('class="right-answer"') == 12
    assert 'aria-label="Boxes"' not in page.split('<dialog id="viewer"')[0]


def test_nothing_is_queued_until_two_versions_are_named_and_the_page_follows_what_is(
    client: httpx.Client, platform: Platform
) -> None:
    contents = {indexed_image(f"{number}.jpg", split="test"): b"" for number in range(3)}
    job = indexed_job(platform, contents)
    base = f"/ui/projects/{job.project}/compare"
    assert "Two versions are compared" in page_of(client, base)
    for _ in range(3):
        rows.publish(platform, rows.running_run(platform, job.id))
    page = page_of(client, base)
    assert "No test set is frozen yet" in page and f'data-freeze="{job.id}"' in page
    assert f"dataset={job.id}" in page, "without freezing"
    client.put(f"/projects/{job.project}/aliases/production", json={"version": "v1"}).raise_for_status()
    _freeze(platform, job.id, job.project_id, str(job.fingerprint))

    page = page_of(client, base)
    assert "Not compared yet" in page and re.findall(r'<option value="(v\d)" selected', page) == ["v1", "v3"]
    for other in ({"sec-purpose": "prefetch"}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}):
        answer = client.get(f"{base}?a=v1&b=v2", headers={"accept": "text/html"} | other)
        assert "Not compared yet" in answer.text and "data-compare" in answer.text
    assert client.get("/operations").json()["items"] == []

    page = page_of(client, f"{base}?a=%40production&b=v2")
    (topics,) = re.findall(r'data-topics="([^"]+)"', page)
    assert len(topics.split(",")) == 2 and f"<b>{job.project}/v2</b>" in page
    assert {get_operation(platform.db, each).state for each in topics.split(",")} == {"queued"}
    assert client.get("/ui/projects/nope/compare", headers={"accept": "text/html"}).status_code == 404
    assert "v9" in page_of(client, f"{base}?a=v1&b=v9", 404) and 'name="b"' in page
