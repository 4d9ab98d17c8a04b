"""What a client of the hub does and does not do."""

import httpx
import pytest

from worker.hub import hub_client


def test_a_hub_reached_by_tls_is_never_left_for_plain_http() -> None:
    with hub_client("https://huggingface.co") as client:
        (guard,) = client.event_hooks["request"]
        guard(httpx.Request("GET", "https://cdn.example/x"))
        with pytest.raises(httpx.UnsupportedProtocol):
            guard(httpx.Request("GET", "http://169.254.169.254/latest"))
        assert client.headers["accept-encoding"] == "identity", "nothing is inflated by the worker"
