"""What a client of the hub does and does not do."""

import json
import time
from typing import Any

import httpx
import pytest

from core.domain.errors import HubUnavailable
from pipeline.params.hub_set import HubSet
from worker.inputs import hub_client as worker_hub
from worker.inputs.hub_client import hub_client, list_set

SET = HubSet(repository="org/set")


def test_a_hub_reached_by_tls_is_never_left_for_plain_http() -> None:
    with hub_client("https://huggingface.co") as client:
        (guard,) = client.event_hooks["request"]
        guard(httpx.Request("GET", "https://cdn.example/x"))
        with pytest.raises(httpx.UnsupportedProtocol):
            guard(httpx.Request("GET", "http://169.254.169.254/latest"))
        assert client.headers["accept-encoding"] == "identity", "nothing is inflated by the worker"


@pytest.mark.parametrize(
    "siblings",
    [["x"], [None], "x", {"a": 1}, [{"rfilename": "a", "size": -1}], [{"rfilename": "a", "size": float("inf")}], [{}]],
)
def test_a_malformed_list_of_files_is_a_failure_of_the_hub(monkeypatch: pytest.MonkeyPatch, siblings: Any) -> None:
    monkeypatch.setattr(worker_hub, "PAUSES_SECONDS", ())
    content = json.dumps({"sha": "0" * 40, "siblings": siblings}).encode()
    answering = httpx.MockTransport(lambda _: httpx.Response(200, stream=httpx.ByteStream(content)))
    with httpx.Client(transport=answering) as client, pytest.raises(HubUnavailable, match="its answer is malformed"):
        list_set(client, "http://hub", SET, ends=time.monotonic() + 10, check=lambda: None)
