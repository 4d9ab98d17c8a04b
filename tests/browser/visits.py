"""Pages that are opened for a test, and what must happen on none of them."""

import re
from base64 import b64encode
from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

Theme = Literal["light", "dark"]
OWN_SCHEMES = ("data", "blob", "about")
# Where a fault of the policy is only an event of the document.
REPORT_POLICY = """document.addEventListener("securitypolicyviolation",
  (event) => console.error(`Content-Security-Policy: ${event.violatedDirective} ${event.blockedURI}`))"""
OVERFLOWS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"  # pixels
HIDDEN = """(hidden) => {
  Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
  Object.defineProperty(document, "visibilityState", {configurable: true, get: () => (hidden ? "hidden" : "visible")});
  document.dispatchEvent(new Event("visibilitychange"));
}"""


class Visits:
    """`faults`: errors on the console and of scripts, what the policy refused, requests to other hosts."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self._expected: list[str] = []
        self._hosts: set[str] = set()
        self.faults: list[str] = []

    def expect_fault(self, pattern: str) -> None:
        """A test that provokes a fault says which: what matches the pattern is none."""
        self._expected.append(pattern)

    def open(self, url: str, *, width: int = 1280, height: int = 900, theme: Theme = "light", **context: Any) -> Page:
        """In a window of its own, without what others have stored. `context`: options of Playwright's `new_context`."""
        self._hosts.add(urlsplit(url).netloc)
        opened = self._browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=theme, reduced_motion="reduce", **context
        )
        self._contexts.append(opened)
        opened.set_default_timeout(20_000)
        opened.add_init_script(REPORT_POLICY)
        page = opened.new_page()
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self._fault(f"{page.url}: {error}"))
        page.on("request", self._on_request)
        page.goto(url)
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()
        self._contexts.clear()

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._fault(f"{message.location.get('url', '')}: {message.type} on the console: {message.text}")

    def _on_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in OWN_SCHEMES and parts.netloc not in self._hosts:
            self._fault(f"a request to another host: {request.url}")

    def _fault(self, text: str) -> None:
        if not any(re.search(pattern, text) for pattern in self._expected):
            self.faults.append(text)


def set_hidden(page: Page, hidden: bool) -> None:
    """As where another tab is in front, which a browser without a window has not."""
    page.evaluate(HIDDEN, hidden)


def drop(page: Page, files: Sequence[tuple[str, bytes]], *, on: str = "body", kind: str = "application/zip") -> None:
    """Files dragged from the desktop: (name, content) each."""
    transfer = page.evaluate_handle(
        """([files, kind]) => {
          const transfer = new DataTransfer();
          for (const [name, content] of files) {
            const bytes = Uint8Array.from(atob(content), (each) => each.charCodeAt(0));
            transfer.items.add(new File([bytes], name, {type: kind}));
          }
          return transfer;
        }""",
        [[[name, _base64(content)] for name, content in files], kind],
    )
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event(on, event, {"dataTransfer": transfer})


def _base64(content: bytes) -> str:
    return b64encode(content).decode()
