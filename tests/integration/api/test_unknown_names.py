"""A name that nothing reads is refused by name, on every route, before anything is done."""

import re
from typing import Any

import httpx
import pytest

from api.app import describe
from core.services.context import Platform
from core.services.jobs.commands import list_jobs
from tests.servers.api import problem

PATHS = describe()["paths"]
OPERATIONS = [(method.upper(), path) for path, methods in PATHS.items() for method in methods]
PARAMETERS = [
    (method.upper(), path, each["name"], "1")
    for path, methods in PATHS.items()
    for method, operation in methods.items()
    for each in operation.get("parameters", ())
    if each["in"] == "query"
]
HIDDEN = [
    *(("HEAD", path) for method, path in OPERATIONS if method == "GET" and "download" in path),
    ("HEAD", "/uploads/upload_x"),
    ("OPTIONS", "/uploads/upload_x"),
    ("POST", "/uploads/upload_x"),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
    ("GET", "/favicon.ico"),
]
KEYS = {"upload-length": "10", "tus-resumable": "1.0.0", "upload-offset": "0"}


def send(client: httpx.Client, method: str, path: str, query: dict[str, str]) -> httpx.Response:
    path = re.sub(r"\{(export|correction)_id\}", r"\1_1", path)  # the form of these ids is part of the route
    concrete = re.sub(r"\{[^}]*\}", "none", path)
    body: Any = {"json": {}} if method in ("PUT", "POST") and "uploads" not in path else {}
    return client.request(method, concrete, params=query, headers=KEYS, **body)


def test_an_unknown_query_parameter_is_refused_on_every_route(client: httpx.Client, platform: Platform) -> None:
    assert len(OPERATIONS) > 70
    for method, path in OPERATIONS + HIDDEN:
        answer = send(client, method, path, {"no_such_thing": "1"})
        assert answer.status_code == 400, (method, path)
        if method != "HEAD":
            body = problem(answer, 400, "request-invalid")
            named = [each["field"] for each in body["errors"]]
            assert named == ["no_such_thing"] and "no_such_thing" in body["detail"], (method, path)
    assert not list_jobs(platform.db, cursor=None, limit=1).items


def test_a_known_query_parameter_is_not_refused_as_unknown(client: httpx.Client) -> None:
    assert len(PARAMETERS) > 50
    for method, path, name, value in PARAMETERS:
        assert "of this name" not in send(client, method, path, {name: value}).text, (method, path, name)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("val_fracton", "val_fraction"),
        ("on_eror", "on_error"),
        ("wiat", "wait"),
        ("Seed", "seed"),
        ("validation_sise", "validation_size"),
    ],
)
def test_the_name_that_was_meant_is_named(client: httpx.Client, platform: Platform, written: str, meant: str) -> None:
    answer = client.post(f"/upload-dataset?{written}=1&on_error=skip", files={"file": ("a.zip", b"PK")})
    body = problem(answer, 400, "request-invalid")
    assert [each["field"] for each in body["errors"]] == [written] and f"did you mean '{meant}'?" in body["detail"]
    assert not list_jobs(platform.db, cursor=None, limit=1).items


def test_an_unknown_field_of_the_form_is_refused_as_one_of_the_query(client: httpx.Client) -> None:
    answer = client.post("/upload-dataset", data={"val_fracton": "0.4"}, files={"file": ("a.zip", b"PK")})
    body = problem(answer, 400, "request-invalid")
    assert [each["field"] for each in body["errors"]] == ["val_fracton"] and "'val_fraction'" in body["detail"]


def test_assets_take_any_query(client: httpx.Client) -> None:
    assert client.get("/assets/swagger/swagger-ui.css?v=1").status_code == 200
    assert client.get("/docs").status_code == 200
