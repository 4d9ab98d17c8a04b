"""The worker's line with real processes: an upload is prepared, a run is trained, a version is published."""

import json
from pathlib import Path

import pytest

from core.services.models.versions import artifacts_of, find_version
from core.settings import Settings
from tests.servers.workers import scenes, stack


@pytest.mark.slow
def test_an_upload_is_prepared_and_a_run_of_it_publishes_v1(tmp_path: Path, sqlite_url: str, valkey_url: str) -> None:
    with stack(tmp_path, sqlite_url, valkey_url) as line:
        line.start("prepare")
        line.start("train")

        job = line.ended_job(line.upload(scenes(tmp_path)))
        assert job.state == "ready", job.problem
        metadata = line.platform.store.fetch(str(job.metadata_key), tmp_path / "metadata.json")
        assert metadata.sha256 == job.metadata_sha256
        assert json.loads((tmp_path / "metadata.json").read_text())["fingerprint"] == job.fingerprint

        run = line.ended_run(line.train(job.id))
        assert run.state == "succeeded", (run.problem, line.logs())
        assert run.progress is not None and set(run.progress) == {"epoch", "epochs", "metrics", "seconds_left"}
        assert run.progress["epoch"] == 2 and run.spent_seconds > 0
        assert run.notes is not None and run.notes["weights"].startswith("trained from scratch")

        version = find_version(line.platform.db, job.id)
        stored = {artifact.name: artifact for artifact in artifacts_of(line.platform.db, [version.id])[version.id]}
        assert {"best.pt", "metrics.json", "data.yaml", "model.json", "results.csv"} <= set(stored)
        for artifact in stored.values():
            assert line.platform.store.fetch(artifact.key, tmp_path / artifact.name).sha256 == artifact.sha256
        assert version.number == 1 and set(version.metrics) >= {"val", "test"}
        assert not list((line.settings.temp / "attempts").iterdir()), "scratch is removed"
        assert not list((line.settings.cache / "private").iterdir())


def test_the_same_line_stands_on_postgres_and_s3(
    tmp_path: Path, postgres_copy: str, s3_settings: Settings, valkey_url: str
) -> None:
    names = ("store_url", "s3_endpoint", "s3_region", "s3_access_key", "s3_secret_key")
    s3 = {name: getattr(s3_settings, name) for name in names}
    with stack(tmp_path, postgres_copy, valkey_url, **s3) as line:
        line.start("housekeeping")
        line.start("prepare")
        job = line.ended_job(line.upload(scenes(tmp_path)))
        assert job.state == "ready", job.problem
        first = line.start("train", scripted=True)
        run_id = line.train(job.id, epochs=40)
        line.until(lambda: line.run(run_id).checkpoint_key)
        first.kill()
        line.start("train", scripted=True)

        run = line.ended_run(run_id)

        assert (run.state, run.attempt) == ("succeeded", 2), line.logs()
        assert find_version(line.platform.db, job.id).number == 1
