"""axe-core on an open page, by the rules of WCAG 2.0 to 2.2, levels A and AA."""

import os
from functools import cache
from typing import Any

import pytest
from playwright.sync_api import Page

from tests import REPOSITORY

SOURCE = REPOSITORY / "api/pages/vendor/node_modules/axe-core/axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
# What axe passes by: it asks no name of a <progress>, and sees no text in a canvas.
UNNAMED = """() => [...document.querySelectorAll("progress, meter")]
  .filter((each) => !each.ariaLabel && !each.getAttribute("aria-labelledby") && !each.labels.length)
  .map((each) => each.outerHTML)"""


@cache
def source() -> str:
    if not SOURCE.is_file():
        assert not os.environ.get("CI"), "python -m api.pages.vendor --dev has not run"
        pytest.skip("python -m api.pages.vendor --dev has not run")
    return SOURCE.read_text(encoding="utf-8")


def violations(page: Page) -> list[str]:
    """Each with its rule, and the first elements that break it."""
    page.evaluate(source())
    rules = {"runOnly": {"type": "tag", "values": TAGS}}
    found: dict[str, Any] = page.evaluate("(rules) => axe.run(document, rules)", rules)
    broken = [
        f"{each['id']}: {node['html'][:160]} ({' '.join(node['failureSummary'].split())[:240]})"
        for each in found["violations"]
        for node in each["nodes"][:3]
    ]
    return broken + [f"no name: {each}" for each in page.evaluate(UNNAMED)]
