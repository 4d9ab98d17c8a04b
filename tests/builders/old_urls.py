"""Requests for every address of the API as it was with schema 0008, and what is kept of each answer.

`python -m tests.builders.old_urls FILE`, run with the code of that time, has written the answers of old_urls.json.
"""

import hashlib
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx

from core.services.context import open_platform
from core.settings import Settings
from tests.builders import stored_0008 as old
from tests.builders.database_0006 import START
from tests.builders.served_0008 import fill
from tests.servers.api import serving

Answer = dict[str, Any]

_TUS = {"Tus-Resumable": "1.0.0"}
_BY_CHANCE = ("request_id", "seconds", "checked_at")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
_MONTH = f"{START:%Y-%m}"
_NEW_ID = re.compile(r"\b(job|run|upload)_(?!01k6a0)[0-9a-hjkmnp-tv-z]{26}")
HEADERS = (
    *("content-type", "content-disposition", "content-location", "content-range", "accept-ranges", "cache-control"),
    *(
        "etag",
        "x-checksum-sha256",
        "repr-digest",
        "location",
        "link",
        "upload-offset",
        "upload-length",
        "tus-resumable",
    ),
)
_JOBS = (old.READY, old.OTHER, old.REJECTED, old.REPAIR, old.FAILED, old.RECEIVED, old.DELETED, "job_unknown")
_RUNS = (old.FIRST, old.SECOND, old.QUEUED, old.RUNNING, old.FAILED_RUN, old.CANCELLED, old.OF_DELETED, "run_unknown")
_OF_JOB = ("/jobs/{}", "/jobs/{}/findings", "/jobs/{}/findings.csv", "/jobs/{}/repair-log", "/models/{}")
_FILES_OF_JOB = ("/dataset/source/{}", "/dataset/metadata/{}", "/dataset/download/{}", "/download/model/{}")
_DRAWINGS = ("/dataset/sample/{}?n=1", "/dataset/plots/{}/class_distribution")

READS = (
    *("/", "/health", "/ready", "/formats", "/trainers", "/problems/job-not-found", "/problems/unknown", "/unknown"),
    *("/jobs", "/jobs?limit=2", "/jobs?state=ready", "/jobs?state=deleted", "/jobs?limit=0", "/jobs?cursor=x"),
    *("/runs", "/runs?limit=2", "/runs?state=succeeded", f"/runs?job_id={old.READY}", "/models", "/models?limit=1"),
    *(path.format(job) for job in _JOBS for path in (*_OF_JOB, *_FILES_OF_JOB, *_DRAWINGS)),
    *(f"/jobs/{job}/events" for job in (old.READY, old.DELETED, "job_unknown")),
    f"/jobs/{old.REJECTED}/findings?code=box-tiny",
    f"/jobs/{old.REJECTED}/findings?severity=error&limit=1",
    *(path.format(run) for run in _RUNS for path in ("/runs/{}", "/runs/{}/log")),
    *(f"/runs/{old.FIRST}/{rest}" for rest in ("log?tail=2", "log?attempt=1", "log?attempt=7", "events")),
    *(f"/models/{old.READY}/{version}" for version in ("v1", "v2", "2", "latest", "v3", "x")),
    *(f"/models/{old.READY}/v1/artifacts/{name}" for name in ("best.pt", "metrics.json", "unknown.png")),
    *(f"/models/{job}/v1" for job in (old.OTHER, old.DELETED, "job_unknown")),
    *(f"/download/model/{old.READY}?{query}" for query in ("version=v1", "version=v9", "alias=production")),
    *(f"/download/model/{old.READY}?alias={alias}" for alias in ("latest", "staging", "unknown")),
    *(f"/models/{old.READY}/aliases/{alias}" for alias in ("production", "staging", "unknown")),
    *(f"/uploads/{upload}" for upload in (old.UPLOAD, "upload_unknown")),
)
_ALIASES = f"/models/{old.READY}/aliases"
CHANGES: tuple[tuple[str, str, Any], ...] = (
    ("PUT", f"{_ALIASES}/candidate", {"version": "v1"}),
    ("PUT", f"{_ALIASES}/candidate", {"version": "v2"}),
    ("PUT", f"{_ALIASES}/candidate", {"version": "v7"}),
    ("PUT", f"{_ALIASES}/latest", {"version": "v1"}),
    ("PUT", f"/models/{old.DELETED}/aliases/candidate", {"version": "v1"}),
    ("GET", f"{_ALIASES}/candidate", None),
    ("POST", f"{_ALIASES}/candidate/rollback", None),
    ("POST", f"{_ALIASES}/candidate/rollback", None),
    ("POST", f"{_ALIASES}/production/rollback", None),
    ("GET", f"/models/{old.READY}", None),
    ("GET", f"/download/model/{old.READY}?alias=production", None),
    ("PUT", f"{_ALIASES}/staging", {"version": "v2"}),
    ("GET", f"{_ALIASES}/staging", None),
    ("DELETE", f"{_ALIASES}/candidate", None),
    ("DELETE", f"{_ALIASES}/candidate", None),
    ("GET", f"{_ALIASES}/candidate", None),
    ("POST", f"/jobs/{old.FAILED}/retry", None),
    ("POST", f"/jobs/{old.FAILED}/retry", None),
    ("POST", f"/jobs/{old.READY}/retry", None),
    ("POST", f"/jobs/{old.DELETED}/retry", None),
    ("POST", f"/jobs/{old.REJECTED}/repair", None),
    ("POST", f"/runs/{old.FAILED_RUN}/retry", None),
    ("POST", f"/runs/{old.FAILED_RUN}/retry", None),
    ("POST", f"/runs/{old.QUEUED}/cancel", None),
    ("POST", f"/runs/{old.QUEUED}/cancel", None),
    ("POST", f"/runs/{old.RUNNING}/stop", None),
    ("POST", f"/runs/{old.RUNNING}/cancel", None),
    ("POST", f"/runs/{old.FIRST}/cancel", None),
    ("POST", f"/train-async/{old.OTHER}", {"trainer": "yolo", "params": {"epochs": 3}}),
    ("POST", f"/train-async/{old.REJECTED}", {"trainer": "yolo"}),
    ("POST", f"/train-async/{old.OTHER}", {"trainer": "yolo", "params": {"epochz": 3}}),
    ("DELETE", f"/jobs/{old.READY}", None),
    ("DELETE", f"/jobs/{old.REPAIR}", None),
    ("DELETE", f"/jobs/{old.REPAIR}", None),
    ("GET", f"/jobs/{old.REPAIR}", None),
    ("DELETE", f"/jobs/{old.OTHER}?cancel=true", None),
    ("GET", f"/models/{old.OTHER}", None),
    ("GET", f"/uploads/{old.UPLOAD}", None),
    ("DELETE", f"/uploads/{old.UPLOAD}", None),
    ("GET", "/jobs", None),
    ("GET", "/runs", None),
)


def ask_all(client: httpx.Client) -> dict[str, Answer]:
    """What each address answers, by what was requested; the reads before the changes, which are in their order.

    `head`: where HEAD answers with another status or other headers than GET.
    """
    answers = {}
    for path in READS:
        answers[f"GET {path}"] = _answer(client.get(path, headers=_TUS))
        head = _answer(client.head(path, headers=_TUS))
        if any(head[name] != answers[f"GET {path}"][name] for name in ("status", "headers")):
            answers[f"GET {path}"]["head"] = head
    for number, (method, path, body) in enumerate(CHANGES, 1):
        answers[f"{number}. {method} {path}"] = _answer(client.request(method, path, json=body, headers=_TUS))
    return answers


def _answer(answer: httpx.Response) -> Answer:
    kept: Answer = {"status": answer.status_code}
    kept["headers"] = {name: answer.headers[name] for name in HEADERS if name in answer.headers}
    if "json" in answer.headers.get("content-type", "") and answer.content:
        kept["json"] = answer.json()
    else:
        kept["sha256"] = hashlib.sha256(answer.content).hexdigest()
    same: Answer = _without_chance(kept)
    return same


def _without_chance(value: Any) -> Any:
    """The same, however often it is requested: times of today and new ids have no value."""
    if isinstance(value, dict):
        return {name: _without_chance(each) for name, each in value.items() if name not in _BY_CHANCE}
    if isinstance(value, list):
        return [_without_chance(each) for each in value]
    if isinstance(value, str):
        return _NEW_ID.sub(r"\1_new", "now" if _TIME.fullmatch(value) and value[:7] != _MONTH else value)
    return value


def main(path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/old.db"
        settings = Settings(home=Path(folder) / "home", database_url=url)
        fill(url, settings)
        platform = open_platform(settings)
        with serving(platform) as client:
            answers = ask_all(client)
        platform.db.close()
    path.write_text("\n".join(_lines(answers)), encoding="utf-8")


def _lines(answers: dict[str, Answer]) -> list[str]:
    """A JSON object with a line for each answer."""
    lines = [
        f"{json.dumps(requested)}: {json.dumps(answer, ensure_ascii=False, separators=(',', ':'))}"
        for requested, answer in answers.items()
    ]
    return ["{", *(f"{line}," for line in lines[:-1]), lines[-1], "}", ""]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
