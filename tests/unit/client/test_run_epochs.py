"""The epochs of a run, from its events."""

import json
from typing import Any

import httpx
import pytest

from darkroom import Client

AT = "2026-11-30T03:34:26.269698+00:00"
RUN = {
    "run_id": "run_1", "job_id": "job_1", "project": "shapes", "seq": 5, "trainer": "yolo", "params": {},
    "fingerprint": "f", "created_at": AT, "state": "succeeded", "attempt": 2, "stop_requested": False, "links": {},
}  # fmt: skip
CHANGES: list[dict[str, Any]] = [
    {"stage": "training"},
    {"progress": {"epoch": 1, "epochs": 2, "metrics": {"mAP50": 0.1}, "seconds_left": 3.0}},
    {"progress": {"epoch": 1, "epochs": 2, "metrics": {"mAP50": 0.2}, "seconds_left": 3.0}},
    {"progress": {"epoch": 2, "epochs": 2, "metrics": {"mAP50": 0.4}, "seconds_left": 0.0}},
    {"state": "succeeded", "progress": None},
]


@pytest.mark.parametrize("left_out", [0, 5])
def test_a_described_run_has_each_epoch_once_as_it_was_last(left_out: int) -> None:
    """`left_out`: the service has no more events for a stream that ended."""
    events = [{"seq": number, "type": "progress", "at": AT, "data": data} for number, data in enumerate(CHANGES, 1)][
        left_out:
    ]
    streams = ["".join(f"id: {each['seq']}\ndata: {json.dumps(each)}\n\n" for each in events)]

    def answer(request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/events"):
            return httpx.Response(200, json=RUN)
        headers = {"content-type": "text/event-stream"}
        return httpx.Response(200, text=streams.pop(), headers=headers) if streams else httpx.Response(204)

    with Client("http://darkroom.test", http=httpx.Client(transport=httpx.MockTransport(answer))) as client:
        found = client.runs.describe("run_1").epochs
    expected = [] if left_out else [(1, 0.2), (2, 0.4)]
    assert [(each["epoch"], each["metrics"]["mAP50"]) for each in found] == expected
