"""A browser for all tests of this folder; each page of a test is watched for what must not happen."""

from collections.abc import Iterator

import pytest
import structlog
from playwright.sync_api import Browser, expect

from tests.browser.service import Service, furnish, service
from tests.browser.visits import Visits
from tests.servers import needed
from tests.servers.chromium import chromium

expect.set_options(timeout=20_000)  # milliseconds: on a busy machine


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with needed(chromium) as opened:
        yield opened


@pytest.fixture(scope="package")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Tests of this folder read it; none changes it."""
    folder = tmp_path_factory.mktemp("service")
    with service(folder) as made:
        furnish(made, folder)
        yield made


@pytest.fixture
def visits(browser: Browser) -> Iterator[Visits]:
    """Fails the test where one of its pages had a fault."""
    made = Visits(browser)
    yield made
    made.close()
    assert made.faults == []


@pytest.fixture(scope="package", autouse=True)
def _plain_logs() -> None:
    """structlog's own default draws each traceback with its locals, which takes seconds."""
    structlog.configure(processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()])
