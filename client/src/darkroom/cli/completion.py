"""Names that the shell completes, from the service: at once, and silently nothing where it does not answer."""

import json
import urllib.request
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

SECONDS = 0.7  # a person waits for the cursor
LIMIT = 100


def complete_project(_incomplete: str) -> list[str]:
    return [each["project"] for each in _items(f"/projects?limit={LIMIT}")]


def complete_model(incomplete: str) -> list[str]:
    """Projects; with `raccoons/` its versions, with `raccoons@` its aliases."""
    for separator, path, field in (("/", "models", "version"), ("@", "aliases", "alias")):
        project, found, _ = incomplete.partition(separator)
        if found:
            items = _items(f"/projects/{quote(project, safe='')}/{path}")
            return [f"{project}{separator}{each[field]}" for each in items]
    return complete_project(incomplete)


def complete_job(_incomplete: str) -> list[tuple[str, str]]:
    return [(each["job_id"], f"{each['dataset']}, {each['state']}") for each in _items(f"/jobs?limit={LIMIT}")]


def complete_dataset(incomplete: str) -> list[tuple[str, str]]:
    """Names such as raccoons/d1, and ids of jobs."""
    if incomplete.startswith("job"):
        return complete_job(incomplete)
    return [(each["dataset"], each["state"]) for each in _items(f"/jobs?limit={LIMIT}")]


def complete_run(_incomplete: str) -> list[tuple[str, str]]:
    return [(each["run_id"], f"{each['project']}, {each['state']}") for each in _items(f"/runs?limit={LIMIT}")]


def complete_trainer(_incomplete: str) -> list[str]:
    return [each["name"] for each in _items("/trainers")]


def _items(path: str) -> Iterable[dict[str, Any]]:
    from darkroom.login import resolve_login

    try:
        login = resolve_login()
        request = urllib.request.Request(f"{login.url}{path}")  # noqa: S310 - HTTP, as the login checks
        if login.token:  # a redirect, perhaps to another host, does not get it
            request.add_unredirected_header("Authorization", f"Bearer {login.token}")
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310 - the same
            items: list[dict[str, Any]] = json.load(answer)["items"]
            return items
    except (OSError, ValueError, KeyError, TypeError):
        return []
