"""Unit tests need nothing but Python, and cannot reach for more: sockets are off, Unix sockets excepted."""

from collections.abc import Iterator

import pytest
from pytest_socket import disable_socket, enable_socket


@pytest.fixture(autouse=True)
def _no_network() -> Iterator[None]:
    disable_socket(allow_unix_socket=True)  # an event loop talks to itself over one
    yield
    enable_socket()
