"""Every page of the router: for a screen reader, in both themes, on a telephone and on a desk."""

from collections.abc import Sequence

import httpx
import pytest

from tests.browser import pages
from tests.browser.axe import violations
from tests.browser.service import Service
from tests.browser.visits import OVERFLOWS, Theme, Visits

# Those that `make test` visits.
FEW = (
    *("/ui/", "/ui/projects/{project}", "/ui/datasets/{job_id}/images", "/ui/runs/{run_id}", "/ui/predict"),
    *("/ui/projects/{project}/versions/{number}", "/ui/system"),
)


def test_every_page_answers(furnished: Service) -> None:
    with httpx.Client(base_url=furnished.url, headers={"accept": "text/html"}, timeout=60) as browser:
        answers = {address: browser.get(address) for address in pages.addresses(furnished.examples, furnished.more)}
    wrong = {address: answer.status_code for address, answer in answers.items() if answer.status_code != 200}
    assert wrong == {}


def test_pages_break_no_rule_of_accessibility(visits: Visits, furnished: Service) -> None:
    assert set(pages.templates()) >= set(FEW)
    _visit(visits, furnished, list(pages.addresses(furnished.examples, of=FEW, with_queries=False)), 1280, "light")


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_breaks_a_rule_of_accessibility_or_overflows(
    visits: Visits, furnished: Service, width: int, theme: Theme
) -> None:
    visits.expect_fault(r"/nothing-is-here: error .* 404")
    found = [*pages.addresses(furnished.examples, furnished.more), "/ui/nothing-is-here"]
    _visit(visits, furnished, found, width, theme)


def _visit(visits: Visits, furnished: Service, addresses: Sequence[str], width: int, theme: Theme) -> None:
    page = visits.open(furnished.url + "/ui/", width=width, theme=theme)
    wrong: list[str] = []
    for address in addresses:
        page.goto(furnished.url + address)
        if page.locator("main").count() == 0:
            continue  # a part of a page, which a script fetches
        found = violations(page)
        if page.locator("main h1").count() != 1:
            found.append("not one heading of level 1")
        if beyond := page.evaluate(OVERFLOWS):
            found.append(f"{beyond} px wider than the window")
        wrong += [f"{address}: {each}" for each in found]
    assert wrong == [], "\n".join(wrong)
