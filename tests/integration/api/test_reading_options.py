"""`background=unlabelled` and `split=sequence` over HTTP, from wherever they are sent to what is prepared with them."""

import base64
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from httpx import Client, Response

from core.services.context import Platform
from tests.builders.one_camera import one_camera
from tests.builders.roles import labelled_yolo
from tests.builders.voc import Files, image_bytes, zip_files
from tests.servers.api import problem
from worker.context import Worker
from worker.tasks.prepare import prepare_job


def _by_form(client: Client, archive: bytes, name: str, value: str) -> Response:
    return client.post("/upload-dataset", files={"file": ("a.zip", archive)}, data={name: value})


def _by_form_and_query(client: Client, archive: bytes, name: str, value: str) -> Response:
    return client.post(f"/upload-dataset?{name}={value}", files={"file": ("a.zip", archive)})


def _by_query(client: Client, archive: bytes, name: str, value: str) -> Response:
    headers = {"content-type": "application/zip"}
    return client.post(f"/upload-dataset?{name}={value}", content=archive, headers=headers)


def _by_metadata(client: Client, archive: bytes, name: str, value: str) -> Response:
    headers = {"tus-resumable": "1.0.0", "upload-length": str(len(archive))}
    headers["upload-metadata"] = f"{name} {base64.b64encode(value.encode()).decode()}"
    return client.post(
        "/uploads", content=archive, headers=headers | {"content-type": "application/offset+octet-stream"}
    )


WAYS = (_by_form, _by_form_and_query, _by_query, _by_metadata)
START_OF_A_ZIP = b"PK\x03\x04" + bytes(1000)


def _partly_labelled() -> Files:
    bare = {f"images/train/bare{n}.jpg": image_bytes(seed=100 + n) for n in range(6)}
    return labelled_yolo(4) | bare


def _one_camera() -> Files:
    return one_camera(12, pattern="belt/{:02}")


def test_an_option_is_kept_with_the_job_whichever_way_it_is_sent(client: Client) -> None:
    for send, (name, value) in product(WAYS, [("background", "unlabelled"), ("split", "sequence")]):
        answer = send(client, START_OF_A_ZIP, name, value)
        assert answer.status_code in (201, 202), answer.text
        job_id = answer.headers.get("darkroom-job-id") or answer.json()["job_id"]
        assert client.get(f"/jobs/{job_id}").json()["options"][name] == value


def test_a_value_that_there_is_not_is_refused_with_those_that_there_are(client: Client) -> None:
    for send, (name, value) in product(WAYS, [("background", "unlabeled"), ("split", "sequences")]):
        (error,) = problem(send(client, START_OF_A_ZIP, name, value), 400, "request-invalid")["errors"]
        assert error["field"] == name and "Input should be" in error["message"]
    assert client.get("/jobs").json()["items"] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("files", "code", "name", "value", "images"),
    [
        (_partly_labelled, "image-unlabelled", "background", "unlabelled", 10),
        (_one_camera, "split-without-val", "split", "sequence", 12),
    ],
)
def test_what_is_refused_names_the_option_with_which_the_same_upload_is_accepted(
    client: Client,
    platform: Platform,
    tmp_path: Path,
    files: Callable[[], Files],
    code: str,
    name: str,
    value: str,
    images: int,
) -> None:
    archive, worker = zip_files(tmp_path / "a.zip", files()).read_bytes(), Worker(platform, "prepare", "test")
    for given, state in (("", "rejected"), (value, "ready")):
        job_id = _by_form(client, archive, name, given).json()["job_id"]
        prepare_job(worker, job_id)
        job = client.get(f"/jobs/{job_id}").json()
        assert job["state"] == state, job["problem"]
        if state == "rejected":
            (finding,) = client.get(f"/jobs/{job_id}/findings", params={"severity": "error"}).json()["items"]
            assert finding["code"] == code and f"{name}={value}" in finding["remedy"]
    assert job["images"] == images
