"""Every address of the API answers on a migrated database as it did before: old_urls.json has those answers."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.db.migrate import upgrade
from core.services.context import open_platform
from core.settings import Settings
from tests.builders import old_urls
from tests.builders.served_0008 import fill
from tests.builders.stored_0008 import READY
from tests.servers import postgres
from tests.servers.api import serving

RECORDED: dict[str, Any] = json.loads(Path(__file__).with_name("old_urls.json").read_text(encoding="utf-8"))
# Sentences for people that say more today, or name the database.
OTHER_WORDS = (
    ("GET /ready", ".json.checks.database.detail"),
    ("GET /ready", ".json.checks.worker.detail"),
    (f"3. PUT /models/{READY}/aliases/candidate", ".json.detail"),
)
# Of problems that today are about projects too.
OTHER_TITLES = (
    "'The job has no such alias' is 'There is no such alias'",
    "'The job has no such model version' is 'There is no such model version'",
)
# Of problems that today also say what to do.
WITH_ADVICE = re.compile(r"'(The (job is|alias \w+ points at a version of this job)\b.*)\.' is '\1: .*'")
# Of what was deleted: also of what, when and by which call.
WITH_DELETION = re.compile(
    r"'The job (\w+)( of this run)? was deleted\.' is '[^']+ \(the job \1\) was deleted on [^']+ by DELETE /jobs/\1\.'"
)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=[pytest.mark.integration, pytest.mark.slow])])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'old.db'}"
        return
    with postgres.database(request.getfixturevalue("postgres_url")) as url:
        yield url


def test_every_address_answers_as_before_the_migration(empty_url: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", database_url=empty_url)
    fill(empty_url, settings)
    upgrade(empty_url)
    platform = open_platform(settings)
    with serving(platform) as client:
        answers = old_urls.ask_all(client)
    platform.db.close()
    assert list(answers) == list(RECORDED)
    different = {
        (requested, *found)
        for requested, answer in answers.items()
        for found in _different(RECORDED[requested], answer)
    }
    assert {found for found in different if not _is_more(*found)} == set()


def _is_more(requested: str, where: str, change: str) -> bool:
    # Of a param: what it says, and that a model may be named in more ways.
    more = (".description", ".model.pattern", ".model.examples")
    described = requested in ("GET /trainers", "GET /formats") and where.endswith(more)
    titled = where == ".json.title" and change in OTHER_TITLES
    advised = where == ".json.detail" and (WITH_ADVICE.fullmatch(change) or WITH_DELETION.fullmatch(change)) is not None
    return described or titled or advised or (requested, where) in OTHER_WORDS


def _are_named(items: Any) -> bool:
    return isinstance(items, list) and all(isinstance(each, dict) and "name" in each for each in items)


def _different(before: Any, now: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Where `now` lacks a value of before or has another; new fields may come."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name, value in before.items():
            yield from _different(value, now.get(name), f"{where}.{name}")
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for number, value in enumerate(before):
            yield from _different(value, now[number], f"{where}[{number}]")
    elif _are_named(before) and _are_named(now):  # a list that grew, such as the formats
        named = {each["name"]: each for each in now}
        for each in before:
            yield from _different(each, named.get(each["name"]), f"{where}[{each['name']}]")
    elif before != now:
        yield where, f"{before!r} is {now!r}"
