"""The lineage of a project: its graph, the drawing of it, and what a large project leaves out."""

import re
from collections import Counter
from typing import Any
from xml.etree import ElementTree

import httpx

from core.services.context import Platform
from tests.builders import lineage
from tests.servers.api import problem

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '</title><script>alert(1)</script>&\u202e"\x0b'


def _graph(client: httpx.Client, **query: str | int) -> dict[str, Any]:
    answer = client.get(f"/projects/{lineage.SLUG}/lineage", params=query)
    assert answer.status_code == 200, answer.text
    graph: dict[str, Any] = answer.json()
    return graph


def _sentences(graph: dict[str, Any]) -> Counter[str]:
    """`v3 fine-tuned-from v2`, with the names of runs and imports, which several may share."""
    names = {node["id"]: node["name"].removeprefix(f"{lineage.SLUG}/") for node in graph["nodes"]}
    return Counter(f"{names[edge['source']]} {edge['kind']} {names[edge['target']]}" for edge in graph["edges"])


def test_the_graph_of_a_history(client: httpx.Client, platform: Platform) -> None:
    lineage.history(platform)
    graph = _graph(client)
    assert _sentences(graph) == Counter(
        """yolov8n trained-on d1, yolov8s trained-on d1, v1 trained-on d1, v2 trained-on d2, v3 trained-on d3,
        v5 trained-on d4, v4 trained-on d4, yolov8n trained-on d4, v7 trained-on d5, v9 trained-on d5,
        v6 trained-on d5, v11 trained-on d5, yolov8n produced v1, yolov8s produced v2, v2 produced v3, v3 produced v4,
        import imported v5, v5 produced v6, v4 produced v7, yolov8n produced v8, v7 produced v9, v1 produced v10,
        v9 produced v11, v6 produced v12, v3 fine-tuned-from v2, v4 fine-tuned-from v3, v6 fine-tuned-from v5,
        v7 fine-tuned-from v4, v9 fine-tuned-from v7, v10 fine-tuned-from v1, v11 fine-tuned-from v9,
        v12 fine-tuned-from v6, v11 fine-tuned-from v11, raccoons@production alias v9,
        raccoons@production-of-the-northern-water-treatment-plants alias v9,
        raccoons@candidate_that_is_compared_on_the_cameras_of_the_harbour_site alias v11""".replace("\n", "")
        .replace("        ", " ")
        .split(", ")
    )
    nodes = {node["name"]: node for node in graph["nodes"] if node["kind"] in ("dataset", "version")}
    deleted = [name for name, node in nodes.items() if node["deleted"]]
    assert deleted == ["raccoons/d3", "raccoons/v4"]
    assert nodes["raccoons/d1"]["folded_runs"] == {"cancelled": 3}
    assert nodes["raccoons/v9"]["figure"] == {"metric": "mAP50", "split": "test", "value": 0.871}
    assert nodes["raccoons/v9"]["parent"] == "raccoons/v7"
    assert client.get(nodes["raccoons/v9"]["links"]["self"]).json()["version"] == "v9"
    assert client.get(nodes["raccoons/v4"]["links"]["self"]).status_code == 410
    assert (graph["truncated"], graph["next_from"]) == (False, None)
    states = Counter(node["state"] for node in _graph(client, runs="all")["nodes"] if node["kind"] == "run")
    assert states == {"succeeded": 11, "cancelled": 3, "queued": 1}


def test_the_drawing_has_each_version_once_and_nothing_that_runs_or_is_fetched(
    client: httpx.Client, platform: Platform
) -> None:
    lineage.history(platform)
    job = lineage.dataset(platform, HOSTILE)
    lineage.version(platform, job.id, 0.9, model="<b>&")
    path = f"/projects/{lineage.SLUG}/lineage"
    answer = client.get(path, headers={"accept": "image/svg+xml"})
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.content == client.get(path, params={"format": "svg"}).content
    root = ElementTree.fromstring(answer.content)
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert [text for text in texts if re.fullmatch(r"v\d+", text or "")] == [f"v{number}" for number in range(1, 14)]
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        *("svg", "title", "style", "rect", "text", "path", "polygon", "g", "a")
    }
    assert any("</title><script>alert(1)</script>&\ufffd" in (title.text or "") for title in root.iter(f"{SVG}title"))
    assert all(link.get("href", "").startswith("/") for link in root.iter(f"{SVG}a"))
    assert not re.search(rb"url\(|@import|@font-face| on[a-z]+=", answer.content)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-") and "unsafe" not in policy


def test_pages_of_a_lineage_have_every_row_once_and_both_ends_of_each_edge(
    client: httpx.Client, platform: Platform
) -> None:
    limit = 7
    lineage.history(platform)
    whole = {node["id"] for node in _graph(client, runs="all")["nodes"] if node["kind"] not in ("alias", "import")}
    seen: list[str] = []
    query: dict[str, str | int] = {"runs": "all", "limit": limit}
    while True:
        page = _graph(client, **query)
        ids = {node["id"] for node in page["nodes"]}
        assert all({edge["source"], edge["target"]} <= ids for edge in page["edges"])
        rows = [node for node in page["nodes"] if node["kind"] not in ("alias", "import") and not node["outside"]]
        assert len(rows) <= limit
        seen += [node["id"] for node in rows]
        ElementTree.fromstring(client.get(page["links"]["svg"]).content)
        if not page["truncated"]:
            break
        assert page["links"]["next"].startswith(f"/projects/{lineage.SLUG}/lineage?from={page['next_from']}")
        query["from"] = page["next_from"]
    assert sorted(seen) == sorted(whole)


def test_a_lineage_that_is_none(client: httpx.Client, platform: Platform) -> None:
    lineage.dataset(platform, "first")
    problem(client.get("/projects/otters/lineage"), 404, "project-not-found")
    job_id = client.get("/jobs").json()["items"][0]["job_id"]
    problem(client.get(f"/projects/{job_id}/lineage"), 404, "project-not-found")
    problem(client.get(f"/projects/{lineage.SLUG}/lineage?from=yesterday"), 400, "cursor-invalid")
    problem(client.get(f"/projects/{lineage.SLUG}/lineage?limit=1001"), 400, "request-invalid")
