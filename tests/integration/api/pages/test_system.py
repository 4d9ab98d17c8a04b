"""The page of the system and the list of operations."""

import re
from html import unescape

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

HOSTILE = "<script>alert(1)</script>\u202e"


def test_what_is_missing_has_the_remedy_of_darkroom_doctor(client: httpx.Client) -> None:
    assert dict(REMEDIES) == REMEDIES_OF_DOCTOR
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
