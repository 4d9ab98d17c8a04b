"""Signing in, what a session is good for, and what a page of another origin can do with it."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

import api.pages.login
import http_common.sessions
from core.services.context import Platform
from core.services.sessions.commands import revoke_all_sessions
from http_common.sessions import own_page
from tests.builders import rows
from tests.servers.api import problem, serving

TOKEN = "s3cret"
BROWSER = {"accept": "text/html,*/*;q=0.8", "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0"}
BEARER = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def browser(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """Without a session, of a service with a token."""
    monkeypatch.setattr(api.pages.login, "WRONG_SECONDS", 0.01)
    with serving(platform, api_token=TOKEN) as client:
        client.headers.update(BROWSER)
        yield client


def own(client: httpx.Client) -> dict[str, str]:
    return {"origin": str(client.base_url).rstrip("/"), "sec-fetch-site": "same-origin"}


def sign_in(client: httpx.Client, **fields: str) -> httpx.Response:
    return client.post("/ui/login", data={"token": TOKEN} | fields, headers=own(client))


def test_a_browser_gives_the_token_once(browser: httpx.Client) -> None:
    led = browser.get("/ui/?cursor=abc")
    assert (led.status_code, led.headers["location"]) == (303, "/ui/login?next=%2Fui%2F%3Fcursor%3Dabc")
    form = browser.get(led.headers["location"])
    assert form.status_code == 200 and 'value="/ui/?cursor=abc"' in form.text
    wrong = sign_in(browser, token="guess", next="/ui/?cursor=abc")
    assert wrong.status_code == 401 and "not the token" in wrong.text and "set-cookie" not in wrong.headers
    assert 'value="/ui/?cursor=abc"' in wrong.text
    right = sign_in(browser, next="/ui/system?x=1")
    assert (right.status_code, right.headers["location"]) == (303, "/ui/system?x=1")
    cookie = right.headers["set-cookie"]
    assert cookie.startswith(f"darkroom_session_{browser.base_url.port}=") and "secure" not in cookie.lower()
    assert (
        all(part in cookie for part in ("HttpOnly", "Path=/", "Max-Age=2592000"))
        and "samesite=strict" in cookie.lower()
    )
    assert browser.get("/ui/").status_code == 200
    assert browser.get("/jobs", headers={"accept": "application/json"}).status_code == 200
    assert browser.get("/ui/login?next=/ui/system").headers["location"] == "/ui/system"


def test_nobody_without_the_token_reads_the_version_or_where_mlflow_is(platform: Platform) -> None:
    with serving(platform, api_token=TOKEN, mlflow_url="http://mlflow.inside:5000") as client:
        client.headers.update(BROWSER)
        before = [
            client.get("/ui/assets/0123456789abcdef/none.js"),
            client.post("/ui/login", data={"token": TOKEN}, headers={"origin": "https://evil.example"}),
        ]
        after = client.get("/ui/runs/run_1", headers=BEARER)
    for answer in (*before, after):
        assert answer.status_code >= 400 and "<footer>" in answer.text
        assert ("mlflow.inside" in answer.text) == bool(re.search(r"Darkroom \d", answer.text)) == (answer is after)


def test_a_cookie_of_https_stays_with_https(platform: Platform) -> None:
    with serving(platform, api_token=TOKEN, public_url="https://darkroom.example") as client:
        answer = client.post("/ui/login", data={"token": TOKEN}, headers={"origin": "https://darkroom.example"})
        assert answer.status_code == 303 and "Secure" in answer.headers["set-cookie"]


def test_programs_get_a_problem_and_parts_of_pages_a_header(browser: httpx.Client) -> None:
    for path in ("/ui/", "/jobs", "/ui/events?topics=home"):
        problem(browser.get(path, headers={"accept": "*/*"}), 401, "unauthorized")
    problem(browser.get("/jobs"), 401, "unauthorized")  # nor does a browser see a page there
    part = {"hx-request": "true", "hx-current-url": f"{browser.base_url}/ui/runs/run_1?tab=log"}
    answer = browser.get("/ui/runs/run_1/log", headers=part)
    assert (
        answer.status_code == 401 and answer.headers["hx-redirect"] == "/ui/login?next=%2Fui%2Fruns%2Frun_1%3Ftab%3Dlog"
    )
    for nowhere in ("http://[", "javascript:alert(1)", "//evil.example/jobs"):
        answer = browser.get("/ui/", headers={"hx-request": "true", "hx-current-url": nowhere})
        assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/ui/login")
    assert browser.get("/").headers["location"] == "/ui/login"
    assert browser.post("/ui/logout", headers=own(browser)).headers["location"] == "/ui/login"


def test_a_session_is_revoked_at_once_and_an_ended_one_leads_to_the_form(browser: httpx.Client) -> None:
    sign_in(browser)
    (listed,) = browser.get("/sessions").json()["items"]
    assert (listed["label"], listed["current"]) == ("Firefox, Linux", True)
    (same,) = httpx.get(f"{browser.base_url}/sessions", headers=BEARER).json()["items"]
    assert same == listed | {"current": False}
    assert browser.delete(f"/sessions/{listed['session_id']}", headers=own(browser)).status_code == 204
    assert browser.get("/ui/").status_code == 303
    problem(
        httpx.delete(f"{browser.base_url}/sessions/{listed['session_id']}", headers=BEARER), 404, "session-not-found"
    )

    sign_in(browser)
    assert browser.get("/ui/").status_code == 200
    assert httpx.delete(f"{browser.base_url}/sessions", headers=BEARER).status_code == 204
    assert browser.get("/ui/").status_code == 303
    sign_in(browser)
    kept = {"cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
    answer = browser.post("/ui/logout", headers=own(browser))
    assert answer.status_code == 303 and not browser.cookies
    assert browser.get("/ui/", headers=kept).status_code == 303


def test_what_another_process_revokes_ends_within_the_time_that_is_kept(
    browser: httpx.Client, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(browser)
    assert browser.get("/ui/").status_code == 200
    revoke_all_sessions(platform.db)
    assert browser.get("/ui/").status_code == 200
    monkeypatch.setattr(http_common.sessions.clock, "monotonic", lambda: 10**9)
    assert browser.get("/ui/").status_code == 303


OTHER_PAGES: list[dict[str, str]] = [
    {},
    {"origin": "null"},
    {"origin": "https://evil.example"},
    {"origin": "http://127.0.0.1:1"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "none"},
]


def test_with_a_session_only_a_page_of_the_service_changes_something(browser: httpx.Client, platform: Platform) -> None:
    run = rows.queued_run(platform)
    sign_in(browser)
    for page in OTHER_PAGES:
        headers = (own(browser) | page) if "sec-fetch-site" in page else page
        for method, path in (("POST", f"/runs/{run.id}/cancel"), ("DELETE", "/sessions"), ("POST", "/ui/logout")):
            problem(browser.request(method, path, headers=headers | {"accept": "*/*"}), 400, "request-invalid")
        login = browser.post("/ui/login", data={"token": TOKEN}, headers=headers | {"accept": "*/*"})
        problem(login, 400, "request-invalid")  # nor signs the browser in
    # A page of another port embeds: it is answered without the session. A link is followed with it.
    embedded = {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors", "accept": "*/*"}
    problem(browser.get("/jobs", headers=embedded), 401, "unauthorized")
    assert browser.get("/ui/", headers={"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate"}).status_code == 200
    assert browser.post(f"/runs/{run.id}/cancel", headers=own(browser)).status_code == 202


def test_programs_with_the_token_need_no_origin_and_no_cookie_helps_a_wrong_one(browser: httpx.Client) -> None:
    sign_in(browser)
    problem(httpx.post(f"{browser.base_url}/runs/run_x/cancel", headers=BEARER), 404, "run-not-found")
    problem(browser.get("/jobs", headers={"authorization": "Bearer wrong"}), 401, "unauthorized")
    for cookie in ("x", "x" * 43, "'" * 43, f"{'x' * 43}; other=1"):
        name = f"darkroom_session_{browser.base_url.port}"
        answer = httpx.get(f"{browser.base_url}/jobs", headers={"cookie": f"{name}={cookie}"})
        problem(answer, 401, "unauthorized")


def test_without_a_token_there_is_no_sign_in(client: httpx.Client) -> None:
    assert client.get("/ui/", headers=BROWSER).status_code == 200
    assert client.get("/ui/login?next=/ui/system", headers=BROWSER).headers["location"] == "/ui/system"
    assert client.get("/sessions").json()["items"] == []
    problem(client.post("/runs/x/cancel", headers={"origin": "http://127.0.0.1:1"}), 400, "request-invalid")
    problem(client.post("/runs/x/cancel"), 404, "run-not-found")


HOSTILE_NEXT = [
    "https://evil.example",
    "//evil.example",
    "/\\evil.example",
    "/ui/\\evil",
    "/jobs",
    "/uix",
    "/ui/\r\nx: y",
    "/ui/../jobs",
    "/ui/a/%2e%2E/../..//evil.example",
    "/ui/./login",
]


@pytest.mark.parametrize("page", [*HOSTILE_NEXT, "javascript:alert(1)", "/ui/login?next=/ui/", "/ui/" + "x" * 2000, ""])
def test_a_sign_in_leads_to_pages_of_the_service_alone(page: str) -> None:
    assert own_page(page) == "/ui/"


def test_a_link_of_another_site_leads_to_its_page(browser: httpx.Client) -> None:
    """The browser holds the cookie back (SameSite=Strict): the form asks again, as a page of the service, once."""
    link: dict[str, Any] = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    address = "/ui/login?next=/ui/system"
    assert f'http-equiv="refresh" content="0; url={address}"' in browser.get(address, headers=link).text
    assert 'http-equiv="refresh"' not in browser.get(address, headers=own(browser)).text
