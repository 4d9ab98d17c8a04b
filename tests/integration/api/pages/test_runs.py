"""The page of a run and the list of runs."""

import re
from html import unescape
from typing import Any

import httpx

from core.db.tables import EventRow, RunRow, VersionRow
from core.domain.errors import WeightsUnavailable
from core.services.context import Platform
from core.services.runs.history import MOST_EPOCHS, MOST_SAMPLES, read_history
from core.services.runs.logs import note_log_tail
from core.services.work.endings import fail_attempt, lose_attempt
from core.services.work.leases import Claim, claim_row, report_progress
from tests.builders import published, rows
from tests.integration.api.pages.test_shell import page_of

HOSTILE = "<script>alert(1)</script>\u202e"


def epoch(platform: Platform, claim: Claim, number: int, epochs: int = 9, **metrics: float | None) -> None:
    progress = {"epoch": number, "epochs": epochs, "metrics": metrics, "seconds_left": 61.0}
    report_progress(platform.db, RunRow, claim, progress=progress)


def test_a_run_that_goes_has_its_figures_in_a_table_its_log_and_the_machine(
    client: httpx.Client, platform: Platform
) -> None:
    claim = rows.running_run(platform)
    report_progress(platform.db, RunRow, claim, stage="training", notes={"weights": HOSTILE})
    for number in (1, 2):
        epoch(platform, claim, number, mAP50=0.1 * number, box_loss=None, lr=0.01)
    report_progress(
        platform.db, RunRow, claim, event="system", extra={"system": {"cpu_percent": 99.0, "memory_bytes": 5e8}}
    )
    note_log_tail(platform.db, claim, f"a\r{HOSTILE}\n".encode(), total_bytes=30)
    page = page_of(client, f"/ui/runs/{claim.id}")
    assert re.search(r'id="epoch-now">2</span>\s*<span class="of">of 9', page) and "1 min 01 s" in page
    assert '<tr><th scope="row">2</th><td>0.2</td><td>–</td><td>0.01</td></tr>' in page
    assert 'data-path="/runs/' in page and "Stop and keep" in page and "500 MB" in page
    assert f">{HOSTILE}" not in page and page.count("&lt;script&gt;") == 2
    assert re.search(r'id="run"[^>]*data-position="[0-9a-z]{8}~\d+"', page)


def test_an_epoch_that_is_repeated_after_a_lost_worker_has_its_later_figures(platform: Platform) -> None:
    claim = rows.running_run(platform)
    epoch(platform, claim, 1, mAP50=0.1)
    epoch(platform, claim, 2, mAP50=0.2)
    lose_attempt(platform.db, RunRow, claim, WeightsUnavailable("x"))
    again = claim_row(platform.db, RunRow, claim.id, "w2", lease_seconds=60)
    assert again is not None
    epoch(platform, again[0], 2, mAP50=0.3)
    history = read_history(platform.db, claim.id)
    assert {number: metrics["mAP50"] for number, metrics in history.epochs.items()} == {1: 0.1, 2: 0.3}
    states = [(step.name, step.attempt) for step in history.steps if step.is_state]
    assert states == [("queued", 0), ("running", 1), ("queued", 1), ("running", 2)]


def test_a_long_history_is_thinned_out_and_keeps_its_end(platform: Platform) -> None:
    claim = rows.running_run(platform)
    with platform.db.transaction() as session:
        row = session.get_one(RunRow, claim.id)
        for number in range(1, MOST_EPOCHS + 502):
            row.event_seq += 1
            session.add(_event(row, "progress", {"progress": {"epoch": number, "metrics": {"mAP50": 0.5}}}))
            row.event_seq += 1
            session.add(_event(row, "system", {"system": {"cpu_percent": float(number)}}))
    history = read_history(platform.db, claim.id)
    assert len(history.epochs) <= MOST_EPOCHS and max(history.epochs) == MOST_EPOCHS + 501
    last, stride = MOST_EPOCHS + 501, -(-(MOST_EPOCHS + 501) // MOST_SAMPLES)
    assert [sample["cpu_percent"] for _, sample in history.samples] == [*range(last, 0, -stride)][::-1]


def _event(row: RunRow, kind: str, data: dict[str, Any]) -> EventRow:
    return EventRow(subject_id=row.id, seq=row.event_seq, type=kind, data=data, at=row.updated_at)


def test_after_the_end_the_page_leads_on(client: httpx.Client, platform: Platform) -> None:
    job = published.ready_job(platform, project="raccoons")
    version = published.version(platform, job.id, b"w")
    page = page_of(client, f"/ui/runs/{version.run_id}")
    assert "It made" in page and '/ui/projects/raccoons/versions/1"' in page and "line 100" in page
    assert f'/ui/datasets/{job.id}/train?run={version.run_id}"' in page and "/ui/predict?model=raccoons/v1" in page
    for link in re.findall(r'href="(/models/raccoons/v1/artifacts/[^"]+|/runs/[^"]+/log)"', page):
        assert client.get(link).status_code == 200
    claim = rows.running_run(platform, job.id)
    fail_attempt(platform.db, RunRow, claim, WeightsUnavailable(f"{HOSTILE} is not there.", file="x.pt"))
    failed = page_of(client, f"/ui/runs/{claim.id}")
    assert "The pretrained weights are not available" in failed and "What to do" in failed
    assert f"{HOSTILE} is" not in failed and f"{HOSTILE} is" in unescape(failed)
    assert f'data-path="/runs/{claim.id}/retry"' in failed and "Stop and keep" not in failed


def test_the_list_is_filtered_paged_and_says_when_nothing_fits(client: httpx.Client, platform: Platform) -> None:
    assert "No run yet" in page_of(client, "/ui/runs")
    job = rows.ready_job(platform, project="raccoons")
    runs = [rows.queued_run(platform, job.id) for _ in range(31)]
    first = page_of(client, "/ui/runs?state=queued&project=raccoons")
    listed = re.findall(r'<tr data-key="([^"]+)"', first)
    assert listed == [run.id for run in reversed(runs)][:30]
    following = unescape(re.findall(r'rel="next" href="([^"]+)"', first)[0])
    assert re.findall(r'<tr data-key="([^"]+)"', page_of(client, following)) == [runs[0].id]
    assert "state=queued" in following and "No run is so" in page_of(client, "/ui/runs?state=failed&project=")
    assert "There is no run" in page_of(client, "/ui/runs/run_nope", 404)
    page_of(client, "/ui/runs?state=nope", 400)


def test_a_training_that_learned_nothing_says_what_to_do_at_its_run_and_its_version(
    client: httpx.Client, platform: Platform
) -> None:
    version = published.version(platform, published.ready_job(platform, project="raccoons").id, b"w")
    pages = (f"/ui/runs/{version.run_id}", "/ui/projects/raccoons/versions/1")
    notice = "It has not learned anything yet: mAP50 is 0.000. Train for more epochs, or with more images."
    assert not [page for page in pages if notice in page_of(client, page)]
    with platform.db.transaction() as session:
        session.get_one(VersionRow, version.id).metrics = {"test": {"mAP50": 0.0002}}
    assert [page for page in pages if notice in page_of(client, page)] == [*pages]
