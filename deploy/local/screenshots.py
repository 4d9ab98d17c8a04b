"""`make screenshots`: the README's screenshots of the pages, from the demo's own drawn data.

    python -m deploy.local.screenshots                       # a private stack, the demo on it, docs/screenshots/
    python -m deploy.local.screenshots --url URL              # of a stack that `make demo KEEP=1` left running
    python -m deploy.local.screenshots --url URL --all DIR    # every page, both themes, three widths, to look through

It needs a Chromium and the packages of the tests.
"""

import argparse
import io
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser

from darkroom import Client
from deploy.local.demo import walk
from deploy.local.demo_kinds import DRAWN
from deploy.local.private_stack import start_stack, stop_stack
from deploy.local.up import ROOT
from tests.browser import pages
from tests.servers.chromium import chromium

FOLDER = ROOT / "docs" / "screenshots"
MOST_BYTES = 150_000
SIZE = (1280, 960)
SIZES = ((390, 844), SIZE, (1920, 1080))
THEMES = ("light", "dark")
# name: template of the page, its query, its theme
README_PAGES = {
    "images": ("/ui/datasets/{job_id}/images", "sort=-boxes", "dark"),
    "run": ("/ui/runs/{run_id}", "", "dark"),
    "confusion": ("/ui/projects/{project}/versions/{number}/confusion", "truth=0&predicted=0", "light"),
    "compare": ("/ui/projects/{project}/compare", "", "light"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="of a service that is running; by default the demo runs on a private stack")
    parser.add_argument("--project", default=DRAWN["detection"].project)
    parser.add_argument("--all", type=Path, metavar="DIR", help="every page into this folder instead")
    args = parser.parse_args()
    with _service(args.url) as url, chromium() as browser:
        examples = examples_of(url, args.project)
        for path in shoot_all(browser, url, examples, args.all) if args.all else shoot(browser, url, examples, FOLDER):
            print(path, f"{path.stat().st_size / 1000:.0f} kB", flush=True)
    return 0


@contextmanager
def _service(url: str | None) -> Iterator[str]:
    """The one at `url`, or a private one on which the demo has run."""
    if url:
        yield url.rstrip("/")
        return
    with tempfile.TemporaryDirectory(prefix="darkroom-screenshots-") as folder:
        stack = start_stack(Path(folder))
        try:
            walk(stack, Path(folder), DRAWN["detection"], own=None, keep=False)
            yield stack.api_url
        finally:
            stop_stack(stack)


def examples_of(url: str, project: str) -> dict[str, str]:
    """What the addresses of pages name: the newest of the project; the run is the longest, of its first version."""
    with Client(url) as client:
        ready = list(client.datasets.list(project=project, state="ready"))
        versions = list(client.models.list(project=project))
        image = next(iter(client.datasets.images(ready[0])))
    newest, first = versions[0], versions[-1]
    return {
        **{"project": project, "job_id": ready[0].job_id, "run_id": str(first.run_id), "slug": "dataset-rejected"},
        **{"a": ready[-1].job_id, "b": ready[0].job_id, "before": ready[-1].job_id, "after": ready[0].job_id},
        **{"n": newest.version[1:], "number": newest.version[1:], "version": newest.version, "sha256": image.sha256},
    }


def shoot(browser: Browser, url: str, examples: dict[str, str], folder: Path) -> Iterator[Path]:
    """The screenshots of the README, each smaller than MOST_BYTES."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (template, query, theme) in README_PAGES.items():
        address = next(pages.addresses(examples, of=[template], with_queries=False))
        yield _screenshot(browser, f"{url}{address}?{query}".rstrip("?"), SIZE, theme, folder / f"{name}.webp")


def shoot_all(browser: Browser, url: str, examples: dict[str, str], folder: Path) -> Iterator[Path]:
    """Every page of the router as a whole, in both themes, on a telephone, a desk and a large screen."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, address in enumerate(pages.addresses(examples)):
        name = f"{number:02d}-" + "".join(each if each.isalnum() else "-" for each in address)[:80]
        for size in SIZES:
            for theme in THEMES:
                yield _screenshot(
                    browser, url + address, size, theme, folder / f"{name}-{size[0]}-{theme}.png", whole=True
                )


def _screenshot(
    browser: Browser, address: str, size: tuple[int, int], theme: str, path: Path, *, whole: bool = False
) -> Path:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if theme == "dark" else "light",
        reduced_motion="reduce",
    )
    try:
        page = context.new_page()
        page.goto(address)
        page.wait_for_load_state("networkidle")
        content = page.screenshot(full_page=whole)
    finally:
        context.close()
    if path.suffix == ".png":
        path.write_bytes(content)
        return path
    with Image.open(io.BytesIO(content)) as image:
        for quality in (86, 76, 60, 40):
            image.convert("RGB").save(path, "WEBP", quality=quality, method=6)
            if path.stat().st_size < MOST_BYTES:
                break
    return path


if __name__ == "__main__":
    sys.exit(main())
