"""The page of the system and the list of operations."""

import json
import re
import threading
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from api.pages.system import REMEDIES
from core.db.tables import OperationRow
from core.domain.errors import ExportUnsupported
from core.services.context import Platform
from core.services.sessions.commands import open_session
from core.services.work.endings import fail_attempt
from core.services.work.leases import report_progress
from core.services.work.locks import note_worker
from darkroom.cli.checkup.remote import REMEDIES as REMEDIES_OF_DOCTOR
from tests.builders import rows
from tests.integration.api.pages.test_shell import page_of
from tests.servers import free_port
from tests.servers.api import serving

HOSTILE = "<script>alert(1)</script>\u202e"


def test_what_is_missing_has_the_remedy_of_darkroom_doctor(platform: Platform) -> None:
    assert dict(REMEDIES) == REMEDIES_OF_DOCTOR
    with serving(platform, serving_port=free_port()) as client:  # another service may be on the usual one
        page = page_of(client, "/ui/system")
    assert "no worker seen in the last minute" in page and "<code>make up</code> starts all" in page
    assert "<code>python -m serving</code>" in page and "it works, with 2 warnings" in page
    assert "Nothing is queued or worked on" in page and "Nothing has failed" in page
    assert "No token is set" in page


def test_workers_say_what_they_do_and_work_can_be_cancelled(client: httpx.Client, platform: Platform) -> None:
    for name, role in (("w", "train"), (HOSTILE, "prepare")):
        note_worker(platform.db, name, role, {"processor": HOSTILE, "cores": 2, "gpus": [], "engines": []})
    run = rows.running_run(platform)
    operation = rows.running_operation(platform)
    report_progress(platform.db, OperationRow, operation, stage="comparing", progress={"done": 3, "total": 12})
    page = page_of(client, "/ui/system")
    assert f'href="/ui/runs/{run.id}"' in page and "Comparing, 3 of 12" in page.partition('id="workers"')[2]
    assert f'data-path="/operations/{operation.id}/cancel"' in page and "3 of 12" in page and 'value="0.25"' in page
    assert "<script>alert" not in page and HOSTILE in unescape(page)


def test_failures_lead_to_what_to_do_and_operations_are_filtered(client: httpx.Client, platform: Platform) -> None:
    assert "No operation yet" in page_of(client, "/ui/operations")
    claim = rows.running_operation(platform)
    fail_attempt(platform.db, OperationRow, claim, ExportUnsupported(f"{HOSTILE} has no operator"))
    queued = rows.running_operation(platform)
    assert '/ui/problems/export-unsupported"' in page_of(client, "/ui/system").partition('id="failures"')[2]
    listed = page_of(client, "/ui/operations?state=failed")
    assert re.findall(r'<tr data-key="([^"]+)"', listed) == [claim.id]
    assert f'data-path="/operations/{claim.id}/retry"' in listed and "<script>alert" not in listed
    assert queued.id in page_of(client, "/ui/operations?kind=scripted")
    assert "No operation is so" in page_of(client, "/ui/operations?state=cancelled&project=")


def test_sessions_are_listed_and_can_be_revoked(client: httpx.Client, platform: Platform) -> None:
    opened = open_session(platform.db, platform.settings, label="Firefox, Linux")
    page = page_of(client, "/ui/system")
    paths = re.findall(r'data-call="DELETE" data-path="(/sessions/[^"]+)"', page)
    assert opened.secret not in page and len(paths) == 1
    assert client.delete(paths[0]).status_code == 204
    assert "Firefox" not in page_of(client, "/ui/system")


def test_models_in_memory_have_their_requests_and_latencies(platform: Platform) -> None:
    model = {
        **{"name": "raccoons/v3", "names": ["raccoons"], "version_id": "v", "export_id": "e", "sha256": "0" * 64},
        **{"engine": "onnxruntime", "precision": "fp32", "bytes": 12_000_000, "requests": 1234, "failed": 2},
        **{"p50_ms": 4.25, "p95_ms": 9.5, "load_seconds": 1.0, "choice": {}},
    }
    stale = {"name": "raccoons@production", "version": "raccoons/v3", "problem": "raccoons/v4 has no export"}
    memory = {"items": [model], "names": [stale], "bytes": 12_000_000, "max_bytes": 2_000_000_000}

    class Serving(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(memory).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Not to the output of the tests."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Serving) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with serving(platform, serving_url=f"http://127.0.0.1:{server.server_port}") as client:
            page = page_of(client, "/ui/system")
        server.shutdown()
    assert "answers, 1 model in memory" in page and "12.0 MB of 2.0 GB in memory" in page
    assert "1,234 requests, 2 failed; p50 4.2 ms, p95 9.5 ms" in page and "raccoons/v4 has no export" in page
