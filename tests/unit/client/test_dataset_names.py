"""`raccoons/d2` names a dataset wherever its job's id does."""

import httpx
import pytest

from darkroom import Client
from darkroom.errors import NotFound
from tests.builders.documented_service import SCHEMAS, example


def test_a_dataset_is_found_by_its_name_in_the_list_of_its_project() -> None:
    sent: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.url.raw_path.decode())
        if request.url.path == "/projects/raccoons/datasets":
            job = example(SCHEMAS["Job"], whole=True)
            items = [{**job, "job_id": f"job_{number}", "dataset": f"raccoons/d{number}"} for number in (2, 1)]
            return httpx.Response(200, json={"items": items, "next_cursor": None})
        return httpx.Response(200, json={"items": [], "next_cursor": None})

    with Client("http://service", http=httpx.Client(transport=httpx.MockTransport(answer))) as client:
        assert list(client.datasets.exports("raccoons/d1")) == []
        assert sent[-1].startswith("/dataset/exports/job_1?")
        assert list(client.datasets.findings("job_7")) == [] and sent[-1].startswith("/jobs/job_7/findings")
        with pytest.raises(NotFound, match="raccoons has no dataset d3"):
            client.datasets.metadata("raccoons/d3")
