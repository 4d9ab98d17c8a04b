"""Every page of the router by the Tab key alone, and its dialogs by Enter and Escape."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests import REPOSITORY
from tests.browser import pages
from tests.browser.service import PROJECT, Service
from tests.browser.visits import Visits

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

MOST = 700  # presses on a page
PREPARE = (REPOSITORY / "tests" / "browser" / "keyboard_walk.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [1280, 390])
def test_the_tab_key_reaches_all_of_every_page_and_its_place_is_seen(
    visits: Visits, furnished: Service, width: int
) -> None:
    visits.expect_fault(r"/nothing-is-here: error .* 404")
    page = visits.open(furnished.url + "/ui/", width=width)
    wrong: list[str] = []
    for address in [*pages.addresses(furnished.examples, furnished.more), "/ui/nothing-is-here"]:
        page.goto(furnished.url + address)
        if page.locator("main").count():  # else a part of a page
            page.wait_for_load_state("networkidle") if "/ui/runs/" not in address else page.wait_for_timeout(300)
            wrong += [f"{address}: {each}" for each in _faults_of_walk(page)]
    assert wrong == [], "\n".join(wrong)


def test_dialogs_open_by_enter_keep_the_focus_close_by_escape_and_give_it_back(
    visits: Visits, furnished: Service
) -> None:
    page = visits.open(furnished.url + "/ui/")
    wrong: list[str] = []
    opened = 0
    for address in pages.addresses(furnished.examples, furnished.more):
        page.goto(furnished.url + address)
        for opener in _openers(page):
            opened += 1
            opener.focus()
            page.keyboard.press("Enter")
            dialog = page.locator("dialog[open]")
            expect(dialog).to_have_count(1)
            wrong += [f"{address}, dialog: {each}" for each in _faults_of_walk(page)]
            page.keyboard.press("Escape")
            expect(dialog).to_have_count(0)
            if not opener.evaluate("(each) => document.activeElement === each"):
                wrong.append(f"{address}: the focus did not return to {opener.inner_text()}")
    assert wrong == [], "\n".join(wrong)
    assert opened >= 4


def test_cells_of_a_matrix_are_gone_through_by_arrows(visits: Visits, furnished: Service) -> None:
    page = visits.open(f"{furnished.url}/ui/projects/{PROJECT}/versions/1/confusion")
    cells = page.locator("#matrix a")
    cells.first.focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    at = page.evaluate("() => document.activeElement.id")
    assert at.startswith("cell-") and at != cells.first.get_attribute("id")
    page.keyboard.press("Enter")
    expect(page.locator(f"#{at}")).to_have_attribute("aria-current", "true")
    expect(page.locator("#behind li.answer").first).to_be_visible()


def _openers(page: Page) -> Iterator[Any]:
    for opener in page.locator("[data-dialog]").all():
        if opener.is_visible():
            yield opener


def _faults_of_walk(page: Page) -> list[str]:
    expected = page.evaluate(PREPARE)
    if expected > MOST:
        return [f"{expected} stops of the Tab key"]
    for press in range(expected + 12):
        page.keyboard.press("Tab")
        if press % 10 == 9 and page.evaluate("() => window.isRound()"):
            break
    walk = page.evaluate("() => window.walked()")
    faults = [f"not reached: {each}" for each in walk["missed"]]
    faults += [f"no visible focus: {each}" for each in dict.fromkeys(walk["unseen"])]
    if walk["begins"]:
        faults.append(f"the first stop is {walk['begins']}")
    if walk["turned"]:
        faults.append(f"out of order: {walk['turned']}")
    return faults
