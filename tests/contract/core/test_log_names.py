"""Log lines speak of `raccoons/d2` and `raccoons/v7`, beside the ids that programs need."""

from structlog.testing import capture_logs

from core.services.context import Platform
from core.services.jobs.deletion import delete_job
from core.services.models.versions import remove_alias, roll_back_alias, set_alias
from core.services.operations.commands import queue_operation
from core.services.projects.names import log_names
from tests.builders import lineage

NAMES = ("dataset", "version", "alias", "project")


def test_log_lines_name_datasets_versions_and_aliases(platform: Platform) -> None:
    with capture_logs() as logged:
        first, second = lineage.dataset(platform, "January.zip"), lineage.dataset(platform, "February.zip")
        versions = [lineage.version(platform, job.id, 0.9) for job in (second, first)]
        for number in (1, 2):
            set_alias(platform.db, "raccoons", "production", version=f"v{number}")
        roll_back_alias(platform.db, first.id, "production")
        remove_alias(platform.db, "raccoons", "production")
        delete_job(platform, second.id)
    named = [(line["event"], {name: value for name, value in line.items() if name in NAMES}) for line in logged]
    assert named == [
        ("job.received", {"dataset": "raccoons/d1"}),
        ("job.received", {"dataset": "raccoons/d2"}),
        ("run.queued", {"dataset": "raccoons/d2"}),
        ("run.queued", {"dataset": "raccoons/d1"}),
        ("alias.set", {"alias": "raccoons@production", "version": "raccoons/v1"}),
        ("alias.set", {"alias": "raccoons@production", "version": "raccoons/v2"}),
        ("alias.rolled_back", {"alias": "raccoons@production", "version": "raccoons/v1"}),
        ("alias.removed", {"alias": "raccoons@production"}),
        ("job.deleted", {"dataset": "raccoons/d2"}),
    ]
    assert log_names(platform.db, str(versions[1].run_id)) == {"dataset": "raccoons/d1", "version": "raccoons/v2"}
    assert log_names(platform.db, lineage.imported(platform).id) == {"version": "raccoons/v3"}
    assert log_names(platform.db, first.project_id) == {"project": "raccoons"}
    operation = queue_operation(platform, "import-weights", {}, project_id=first.project_id)
    assert log_names(platform.db, operation.id) == {"project": "raccoons"}
    other = lineage.dataset(platform, "Otters.zip", project="otters")
    about_both = queue_operation(platform, "evaluate", {}, project_id=first.project_id, job_id=other.id)
    assert log_names(platform.db, about_both.id) == {"dataset": "otters/d1"}
    assert log_names(platform.db, "upload_01") == log_names(platform.db, "run_01") == {}
