"""Every page of the router: for a screen reader, in both themes, on a telephone and on a desk."""

from collections.abc import Iterator

import pytest

from tests.browser import pages
from tests.browser.axe import violations
from tests.browser.service import Service, furnish, service
from tests.browser.visits import Theme, Visits

OTHER_VIEWS: tuple[tuple[int, Theme], ...] = ((390, "dark"), (1280, "dark"), (390, "light"))
OVERFLOWS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    with service(folder) as made:
        furnish(made, folder)
        yield made


def test_no_page_breaks_a_rule_of_accessibility_or_overflows(visits: Visits, furnished: Service) -> None:
    _visit_all(visits, furnished, 1280, "light")


@pytest.mark.slow
@pytest.mark.parametrize("width, theme", OTHER_VIEWS)
def test_nor_in_the_other_theme_or_on_a_telephone(visits: Visits, furnished: Service, width: int, theme: Theme) -> None:
    _visit_all(visits, furnished, width, theme)


def _visit_all(visits: Visits, furnished: Service, width: int, theme: Theme) -> None:
    visits.expect_fault(r"/nothing-is-here: error .* 404")
    page = visits.open(furnished.url + "/ui/", width=width, theme=theme)
    wrong = {}
    for address in (*pages.addresses(furnished.examples, furnished.more), "/ui/nothing-is-here"):
        answer = page.goto(furnished.url + address)
        assert answer is not None and answer.status == (404 if "nothing" in address else 200), address
        if page.locator("main").count() == 0:
            continue  # a part of a page, which a script fetches
        assert page.locator("main h1").count() == 1, address
        found = violations(page)
        if beyond := page.evaluate(OVERFLOWS):
            found.append(f"{beyond} px wider than the window")
        if found:
            wrong[address] = found
    assert wrong == {}, "\n".join(f"{address}: {each}" for address, found in wrong.items() for each in found)
