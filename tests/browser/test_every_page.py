"""Every page of the router: for a screen reader, in both themes, on a telephone and on a desk."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.browser import pages
from tests.browser.axe import violations
from tests.browser.service import Service, furnish, service
from tests.browser.visits import Theme, Visits

VIEWS: tuple[tuple[int, Theme], ...] = ((1280, "light"), (390, "dark"))
OTHER_VIEWS: tuple[tuple[int, Theme], ...] = ((1280, "dark"), (390, "light"))
OVERFLOWS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("service")) as made:
        furnish(made)
        yield made


@pytest.mark.parametrize("width, theme", VIEWS)
def test_no_page_breaks_a_rule_of_accessibility_or_overflows(
    visits: Visits, furnished: Service, width: int, theme: Theme
) -> None:
    _look_at_all(visits, furnished, width, theme)


@pytest.mark.slow
@pytest.mark.parametrize("width, theme", OTHER_VIEWS)
def test_nor_in_the_other_theme(visits: Visits, furnished: Service, width: int, theme: Theme) -> None:
    _look_at_all(visits, furnished, width, theme)


def _look_at_all(visits: Visits, furnished: Service, width: int, theme: Theme) -> None:
    page = visits.open(furnished.url + "/ui/", width=width, theme=theme)
    wrong = {}
    for address in _addresses(furnished):
        answer = page.goto(furnished.url + address)
        assert answer is not None and answer.status == 200, (address, answer and answer.status)
        if not _is_page(page):
            continue
        page.wait_for_load_state("load")
        found = violations(page)
        if beyond := page.evaluate(OVERFLOWS):
            found.append(f"{beyond} px wider than the window")
        if found:
            wrong[address] = found
    assert wrong == {}


def _addresses(furnished: Service) -> Iterator[str]:
    yield from pages.addresses(furnished.examples)
    rejected = furnished.examples["rejected"]
    yield from (f"/ui/datasets/{rejected}", f"/ui/datasets/{rejected}/findings")


def _is_page(page: Page) -> bool:
    """Not a part of one, which a script fetches."""
    return page.locator("main").count() == 1
