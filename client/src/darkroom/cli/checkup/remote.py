"""The service: whether it answers, what it says of its parts, and whether predictions do."""

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from darkroom.cli.checkup import Check, Checks, State
from darkroom.cli.checkup.metrics import metric_checks
from darkroom.cli.checkup.workers import worker_checks
from darkroom.login import URL_VARIABLE, Login
from darkroom.version import VERSION

SECONDS = 5.0
SKEW_SECONDS = 30.0  # signed links are valid from the time of the service on
START = "Start it with `make up`, or name another address: `darkroom login URL`."
STATES: Mapping[str, State] = {"ok": "ok", "degraded": "warn", "failed": "fail"}
REMEDIES = {
    "database": "Check DARKROOM_DATABASE_URL and the log of the API.",
    "store": "Check DARKROOM_STORE_URL, its access keys and its free space.",
    "broker": "Start it, or check DARKROOM_BROKER_URL. Until then workers poll the database.",
    "mlflow": "Start it, or check DARKROOM_MLFLOW_URL. The mirror catches up later.",
    "worker": "Start what is missing: `make up` starts all; one is `python -m worker ROLE`.",
    "serving": "Start it with `python -m serving`, or check DARKROOM_SERVING_URL.",
}
STATUS_OK, UNAUTHORIZED = 200, 401


def remote_checks(login: Login) -> Checks:
    headers = {"Authorization": f"Bearer {login.token}"} if login.token else {}
    with httpx.Client(base_url=login.url, headers=headers, timeout=SECONDS) as client:
        try:
            sent_at = time.time()
            health = client.get("/health")
        except (httpx.TransportError, httpx.InvalidURL) as error:
            yield Check("service", "fail", _reason(login, error), START)
            return
        yield from _answering(client, health, sent_at)


def _answering(client: httpx.Client, health: httpx.Response, sent_at: float) -> Checks:
    if health.status_code != STATUS_OK or _json(health).get("state") != "ok":
        detail = f"{client.base_url} answers with status {health.status_code}, and not as Darkroom does"
        yield Check("service", "fail", detail, f"Check the address, {URL_VARIABLE} and your proxy.")
        return
    front = _get(client, "/")
    yield _version(front)
    yield _token(front, client)
    yield _clock(health, sent_at)
    yield from _parts(client)
    if front is not None and front.status_code == STATUS_OK:
        yield from worker_checks(_pages(client, "/workers"))
        yield from metric_checks(_get(client, "/metrics"))
        yield from _predictions(client)


def _version(front: httpx.Response | None) -> Check:
    version = str(_json(front).get("version", "")) if front is not None else ""
    if not version:
        return Check("service", "ok", "answers; its version needs a token")
    if version.split(".")[:2] != VERSION.split(".")[:2]:
        remedy = f"Install the client of that version: `pip install` client/ of Darkroom {version}."
        return Check("service", "warn", f"is Darkroom {version}; this client is {VERSION}", remedy)
    return Check("service", "ok", f"Darkroom {version} answers")


def _token(front: httpx.Response | None, client: httpx.Client) -> Check:
    sent = "authorization" in client.headers
    if front is None:
        return Check("token", "fail", "could not be checked: the service does not answer in time", START)
    if front.status_code == UNAUTHORIZED:
        detail = "the service refuses the token" if sent else "the service needs a token"
        return Check("token", "fail", detail, "Run `darkroom login`, or set DARKROOM_API_TOKEN.")
    if front.status_code != STATUS_OK:
        detail = str(_json(front).get("detail", "")) or f"status {front.status_code}"
        return Check("token", "fail", f"the service refuses requests: {detail}", "See the log of the API.")
    if not sent:
        return Check("token", "ok", "none, and none is needed")
    return Check("token", "ok", "sent, and none is needed" if _is_open(client) else "accepted")


def _is_open(client: httpx.Client) -> bool:
    """Whether the service answers without a token, and so looks at none."""
    request = client.build_request("GET", "/")
    del request.headers["authorization"]
    try:
        return client.send(request).status_code == STATUS_OK
    except httpx.TransportError:
        return False


def _clock(health: httpx.Response, sent_at: float) -> Check:
    try:
        there = parsedate_to_datetime(health.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return Check("clock", "ok", "the service does not send its time")
    skew = there - (sent_at + time.time()) / 2
    if abs(skew) > SKEW_SECONDS:
        detail = f"the service is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}"
        return Check("clock", "warn", detail, "Synchronise both clocks (NTP): signed links and times depend on them.")
    return Check("clock", "ok", "as the service's")  # its time has whole seconds


def _parts(client: httpx.Client) -> Checks:
    answer = _get(client, "/ready")
    checks = _json(answer).get("checks") if answer is not None else None
    if not isinstance(checks, dict):
        yield Check("parts", "fail", "/ready does not answer", "See the log of the API.")
        return
    for name, found in checks.items():
        state = STATES.get(str(found.get("state")), "fail")
        yield Check(str(name), state, str(found.get("detail", "")), "" if state == "ok" else REMEDIES.get(name, ""))


def _predictions(client: httpx.Client) -> Checks:
    """What serving has in memory, and the names that it cannot answer for."""
    answer = _get(client, "/serving/models")
    found = _json(answer)
    if answer is None or answer.status_code != STATUS_OK:
        detail = str(found.get("detail", "")) or "serving does not answer"
        yield Check("predictions", "fail", detail, REMEDIES["serving"])
        return
    yield Check("predictions", "ok", "serving answers")
    loaded = [
        f"{each.get('name')} on {each.get('engine')} ({each.get('precision')}, {_device_of(each)})"
        for each in found.get("items", ())
    ]
    yield Check("engines", "ok", ", ".join(loaded) or "no model is in memory: each is loaded by its first request")
    for each in found.get("names", ()):
        if isinstance(each, dict) and each.get("problem"):
            remedy = "`darkroom export MODEL --list` lists the exports with their certificates."
            yield Check("model", "warn", f"{each.get('name')}: {each['problem']}", remedy)


def _device_of(item: Mapping[str, Any]) -> str:
    choice = item.get("choice")
    return str(choice.get("device", "")) if isinstance(choice, dict) else ""


def _get(client: httpx.Client, path: str) -> httpx.Response | None:
    try:
        return client.get(path, headers={"Accept": "application/json, text/plain"})
    except httpx.TransportError:
        return None


def _pages(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    """The items of a list, of all its pages; of a service that has no such list none."""
    items: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        found = _json(_get(client, f"{path}?cursor={cursor}" if cursor else path))
        items += [each for each in found.get("items", ()) if isinstance(each, dict)]
        cursor = found.get("next_cursor")
    return items


def _json(answer: httpx.Response | None) -> dict[str, Any]:
    try:
        found = answer.json() if answer is not None else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _reason(login: Login, error: Exception) -> str:
    return f"{login.url} does not answer: {str(error).rstrip('.') or type(error).__name__}"
