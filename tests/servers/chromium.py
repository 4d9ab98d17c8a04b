"""A Chromium without a window: the one that DARKROOM_TEST_CHROMIUM names, else one on PATH, else Playwright's own."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.servers import ServerMissing

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HOW = "No Chromium was found. On Debian: apt-get install chromium. Elsewhere: python -m playwright install chromium."


@contextmanager
def chromium(arguments: Sequence[str] = ()) -> Iterator[Browser]:
    """`arguments`: of the command line, such as those of a camera that is none. Raises ServerMissing.

    Playwright leaves an event loop in this thread until it ends, in which nothing else can call `asyncio.run`.
    """
    with sync_playwright() as playwright:
        path = _path(playwright.chromium.executable_path)
        browser = playwright.chromium.launch(executable_path=path, args=list(arguments))
        try:
            yield browser
        finally:
            browser.close()


def _path(of_playwright: str) -> str:
    named = os.environ.get("DARKROOM_TEST_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, NAMES)), None) or of_playwright
    if not Path(found).exists():
        raise ServerMissing(HOW)
    return found
