"""GET /metrics: what Prometheus reads, its bounds, and what it costs."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event, text

from core.db.tables import OperationRow, RunRow
from core.domain.errors import NoSpace, WorkerLost
from core.services.context import Platform, open_platform
from core.services.maintenance.figures import read_figures
from core.services.operations.commands import queue_operation
from core.services.operations.lifecycle import complete_operation
from core.services.work.endings import fail_attempt, lose_attempt
from core.services.work.stages import add_stage
from core.settings import Settings
from tests import REPOSITORY
from tests.builders.rows import claimed_job, publish, queued_run, received_job, running_operation, running_run
from tests.servers.api import problem, serving

ALERTS = REPOSITORY / "deploy" / "prometheus" / "alerts.yml"


@pytest.fixture
def platform(tmp_path: Path, database_url: str) -> Iterator[Platform]:
    opened = open_platform(Settings(home=tmp_path / "home", database_url=database_url, mlflow_url="http://127.0.0.1:9"))
    yield opened
    opened.db.close()


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(client: httpx.Client) -> Samples:
    answer = client.get("/metrics")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[f"darkroom_{name}", frozenset(labels.items())]


def test_rows_that_wait_work_and_end_are_counted(client: httpx.Client, platform: Platform) -> None:
    received_job(platform)
    claimed_job(platform)
    queued_run(platform)
    queue_operation(platform, "scripted", {})
    complete_operation(platform.db, running_operation(platform), {})
    lose_attempt(platform.db, OperationRow, running_operation(platform), WorkerLost("One worker was lost."))
    done, failed, lost = (running_run(platform) for _ in range(3))
    publish(platform, done)
    fail_attempt(platform.db, RunRow, failed, NoSpace("The disk is full."))
    lose_attempt(platform.db, RunRow, lost, WorkerLost("One worker was lost."))
    for seconds in (0.2, 30.0, 40.0):
        add_stage(platform.db, "run", "training", seconds)
    add_stage(platform.db, "job", "a stage of a hostile child", 10**6)

    found = scraped(client)

    assert (value(found, "queue_depth", role="prepare"), value(found, "queue_depth", role="train")) == (1, 2)
    assert 0 < value(found, "queue_oldest_seconds", role="train") < 60
    assert value(found, "queue_depth", role="operations") == 2 and value(found, "workers", role="operations") == 0
    assert value(found, "operations_ended_total", state="succeeded", cause="") == 1
    assert value(found, "operations_ended_total", state="failed", cause="operation-timed-out") == 0
    assert value(found, "leases_lost_total", role="operations") == 1
    assert value(found, "active", role="prepare", state="preparing") == 1
    assert value(found, "jobs_ended_total", state="ready", cause="") == 4
    assert value(found, "runs_ended_total", state="succeeded", cause="") == 1
    assert value(found, "runs_ended_total", state="failed", cause="no-space") == 1
    assert value(found, "runs_ended_total", state="failed", cause="out-of-memory") == 0
    assert value(found, "leases_lost_total", role="train") == 1
    assert value(found, "mlflow_behind_runs") == 2
    stage = {"role": "train", "stage": "training"}
    ends = ("0.1", "0.5", "60.0", "+Inf")
    assert [value(found, "stage_seconds_bucket", le=end, **stage) for end in ends] == [0, 1, 3, 3]
    assert value(found, "stage_seconds_sum", **stage) == pytest.approx(70.2)
    assert value(found, "stage_seconds_bucket", role="prepare", stage="other", le="+Inf") == 1
    assert value(found, "disk_free_bytes", disk="temp") > 0 and value(found, "database_up") == 1


def test_requests_are_counted_by_template_and_hostile_ones_add_few_series(client: httpx.Client) -> None:
    client.get("/health")
    before = scraped(client)
    for number in range(50):
        client.get(f"/jobs/job_{number}")
        client.get(f"/no/such/path/{number}")
        client.request(("PROPFIND", "LOCK", "REPORT")[number % 3], "/jobs")
        client.head("/jobs")
    found = scraped(client)

    assert value(found, "http_requests_total", method="GET", route="/jobs/{job_id}", status="404") == 50
    assert value(found, "http_requests_total", method="GET", route="other", status="404") == 50
    assert value(found, "http_requests_total", method="HEAD", route="/jobs", status="200") == 50
    assert value(found, "http_request_seconds_count", method="GET", route="/jobs/{job_id}") == 50
    assert len(found) - len(before) <= 5 * 16, "of a method with a route, as many as there are buckets and two more"


def test_the_metrics_need_the_token(platform: Platform) -> None:
    with serving(platform, api_token="secret") as client:
        problem(client.get("/metrics"), 401, "unauthorized")
        client.headers["authorization"] = "Bearer secret"
        assert value(scraped(client), "http_requests_total", method="GET", route="other", status="401") == 1


def test_open_metrics_are_sent_where_they_are_accepted(client: httpx.Client) -> None:
    answer = client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert "darkroom_http_requests" in {family.name for family in open_metrics(answer.text)}


def test_without_a_database_the_rest_is_reported(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url="postgresql+psycopg://nobody@127.0.0.1:9/none")
    with serving(open_platform(settings)) as client:
        found = scraped(client)
    assert value(found, "database_up") == 0
    assert ("process_open_fds", frozenset()) in found


def test_no_query_of_the_metrics_scans_a_table_that_grows(platform: Platform) -> None:
    statements: list[tuple[str, Any]] = []
    event.listen(
        platform.db.engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, parameters, *_: statements.append((statement, parameters)),
    )
    read_figures(platform)
    reads = [each for each in statements if each[0].startswith("SELECT")]
    assert 5 <= len(reads) <= 16
    plans = "\n".join(_plan(platform, *each) for each in reads)
    assert not re.search(r"(?i)scan (on )?(jobs|runs|uploads|events|versions|findings)\b(?! using)", plans), plans


def _plan(platform: Platform, statement: str, parameters: Any) -> str:
    with platform.db.engine.connect() as connection:
        if platform.db.engine.dialect.name == "sqlite":
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            return "\n".join(str(row[-1]) for row in rows)
        connection.execute(text("SET enable_seqscan = off"))  # the tables of a test are small
        return "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).all())


def test_each_metric_of_the_alerts_exists(client: httpx.Client) -> None:
    rules = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
    client.get("/health")
    names = {name for name, _ in scraped(client)}
    for rule in rules:
        used = set(re.findall(r"darkroom_(?:[a-z_]+)", rule["expr"].replace("(jobs|runs|operations)", "runs")))
        assert used <= names, (rule["alert"], used - names)
