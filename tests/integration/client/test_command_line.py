"""The command `darkroom` against a real API: results, JSON alone on stdout, exit codes, the login file, the doctor."""

import io
import json
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from sqlalchemy import delete
from typer.testing import CliRunner

from core.db.tables import ExportRow
from core.services.context import Platform
from core.services.work.locks import note_worker
from darkroom import Client
from darkroom._sync.test_sets import TestSets
from darkroom.cli.app import app
from darkroom.cli.completion import complete_model, complete_run
from darkroom.cli.exits import ExitCode
from darkroom.cli.next_steps import next_steps
from darkroom.schemas import Dataset, FrozenTestSet
from deploy.local.private_stack import free_ports
from tests.builders import lineage
from tests.builders.colour_models import draw_scenes, export_of
from tests.builders.exports import certificate
from tests.builders.served import publish
from tests.builders.voc import voc_zip
from tests.servers.api import serving
from tests.servers.predictions import predictions
from worker.supervision.devices import devices

HOSTILE = "\x1b[31mred\u202e [bold]x"


@pytest.fixture(autouse=True)
def _logs_elsewhere() -> Iterator[None]:
    """The API runs in this process, whose stdout is that of the commands."""
    before = structlog.get_config()["logger_factory"]
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(io.StringIO()))
    yield
    structlog.configure(logger_factory=before)


@pytest.fixture(autouse=True)
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path / "config" / "darkroom" / "login.json"


@pytest.fixture
def here(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """The commands use the API of this client, which finds no serving, whatever else runs on this computer."""
    (port,) = free_ports(1)
    with serving(platform, serving_port=port) as client:
        monkeypatch.setenv("DARKROOM_URL", str(client.base_url))
        yield client


def darkroom(*arguments: object, expect: int = ExitCode.OK) -> Any:
    done = CliRunner().invoke(app, [str(each) for each in arguments])
    assert done.exit_code == expect, done.output
    return done


def document(*arguments: object, expect: int = ExitCode.OK) -> Any:
    """Of a command with --json, whose stdout must be one document."""
    return json.loads(darkroom(*arguments, "--json", expect=expect).stdout)


def test_a_download_that_was_interrupted_is_continued_by_ranges_of_the_api(here: httpx.Client, tmp_path: Path) -> None:
    archive = voc_zip(tmp_path / "balls.zip")
    darkroom("upload", archive, "--project", "balls", "--no-wait")
    job_id = document("jobs", "balls/d1")["job_id"]

    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    with Client(str(here.base_url)) as client, pytest.raises(KeyboardInterrupt):
        client.datasets.download_source(job_id, tmp_path / "out.zip", on_bytes=interrupt)
    (part,) = tmp_path.glob("out.zip.*.part")
    part.write_bytes(archive.read_bytes()[:100])
    inode = part.stat().st_ino
    darkroom("download", "balls/d1", "--source", "--out", tmp_path / "out.zip")
    assert (tmp_path / "out.zip").read_bytes() == archive.read_bytes()
    assert (tmp_path / "out.zip").stat().st_ino == inode and not part.exists()


def test_an_upload_becomes_a_dataset_that_lists_name(here: httpx.Client, tmp_path: Path) -> None:
    archive = voc_zip(tmp_path / "balls.zip")
    sent = document("upload", archive, "--project", "balls", "--option", "seed=7", "--no-wait")
    assert (sent["dataset"], sent["state"], sent["options"]["seed"]) == ("balls/d1", "received", 7)
    again = document("upload", _unpacked(archive, tmp_path / "photos"), "--project", "balls", "--no-wait")
    assert again["dataset"] == "balls/d2" and again["source"]["name"] == "photos.zip"
    assert [each["dataset"] for each in document("datasets", "balls")["items"]] == ["balls/d2", "balls/d1"]
    assert document("jobs", "balls/d1")["job_id"] == sent["job_id"]
    assert document("projects")["items"][0]["datasets"] == 2
    assert "balls/d1" in darkroom("datasets", "balls").stdout
    text = darkroom("train", "balls", expect=ExitCode.FAILED).stderr
    assert "has no dataset that is ready" in text and "darkroom upload FILE --project balls" in text


def test_an_import_from_elsewhere_needs_the_operator(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(platform, import_folders="/srv/sets") as client:
        monkeypatch.setenv("DARKROOM_URL", str(client.base_url))
        made = document("import", "file:///srv/sets/balls%202", "--project", "balls", "--option", "seed=7", "--no-wait")
        origin = made["source"]["imported_from"]
        assert (made["dataset"], origin["kind"], origin["location"]) == ("balls/d1", "folder", "/srv/sets/balls 2")
        assert made["options"]["seed"] == 7
        for location, setting in (("https://data.example/a.zip", "HOSTS"), ("s3://sets/balls", "BUCKETS")):
            assert f"DARKROOM_IMPORT_{setting}" in darkroom("import", location, expect=ExitCode.FAILED).stderr
        assert "file:///" in darkroom("import", "file://elsewhere/sets", expect=ExitCode.USAGE).stderr
        assert "darkroom upload" in darkroom("import", "/tmp", expect=ExitCode.USAGE).stderr


def _unpacked(archive: Path, folder: Path) -> Path:
    import shutil

    shutil.unpack_archive(archive, folder)
    return folder


def test_an_archive_that_would_be_refused_is_not_sent(here: httpx.Client, tmp_path: Path) -> None:
    text = tmp_path / "notes.zip"
    text.write_bytes(b"no ZIP at all")
    found = document("upload", text, expect=ExitCode.FAILED)
    assert (found["accepted"], found["findings"][0]["severity"]) == (False, "error")
    done = darkroom("upload", text, expect=ExitCode.FAILED)
    assert found["findings"][0]["code"] in done.stdout and "Nothing was sent" in done.stderr
    assert here.get("/jobs").json()["items"] == []


def test_names_from_outside_are_printed_as_text(here: httpx.Client, tmp_path: Path) -> None:
    archive = voc_zip(tmp_path / "balls.zip")
    document("upload", archive, "--project", "balls", "--name", HOSTILE, "--no-wait")
    for arguments in (("jobs", "balls/d1"), ("datasets",), ("datasets", "--json")):
        text = darkroom(*arguments).output
        assert not set(text) & {"\x1b", "\u202e"}
    missing = darkroom("models", HOSTILE, expect=ExitCode.FAILED)
    assert "\x1b" not in missing.output and "[bold]x" in missing.stderr


def test_what_a_project_stores_is_listed_and_deleted_on_request(
    platform: Platform, here: httpx.Client, tmp_path: Path
) -> None:
    for _ in range(2):
        publish(platform, "squares", export_of("detection", tmp_path / "model.onnx"))
    stored = document("storage", "squares", "--keep", "version_days=90", "--keep", "keep_versions=1")
    assert (stored["retention"]["version_days"], stored["retention"]["keep_versions"]) == (90, 1)
    assert stored["freeable_bytes"] == stored["bytes"] / 2 > 0
    assert document("storage", "squares", "--keep", "version_days=null")["retention"]["version_days"] is None
    text = darkroom("storage", "squares").stdout
    assert "exports" in text and "could be deleted" in text
    listed = darkroom("purge", "squares")
    assert "squares/v1" in listed.stdout and "darkroom purge squares versions --yes" in listed.stderr
    older = darkroom("purge", "squares", "--older-than", "1e-06").stderr
    assert "darkroom purge squares versions --older-than 1e-06 --yes" in older  # deletes no more than was listed
    assert document("purge", "squares")["operation"] is None
    queued = document("purge", "squares", "versions", "--yes", "--no-wait")
    assert (queued["operation"]["kind"], queued["count"]) == ("purge", 1)
    for wrong in (("purge", "squares", "--yes"), ("purge", "squares", "dust"), ("storage", "squares", "--keep", "x=1")):
        darkroom(*wrong, expect=ExitCode.USAGE)


def test_aliases_and_versions(platform: Platform, here: httpx.Client, tmp_path: Path) -> None:
    file = export_of("detection", tmp_path / "model.onnx")
    for _ in range(2):
        publish(platform, "squares", file)
    assert document("alias", "squares/v1", "production")["name"] == "squares/v1"
    assert document("alias", "squares", "production")["version"] == "v1"  # a project alone is its production
    assert document("alias", "squares/v2", "production")["version"] == "v2"
    assert document("rollback", "squares")["version"] == "v1"
    assert [move["action"] for move in document("alias", "squares@production")["history"]] == ["set", "set", "rollback"]
    assert [each["name"] for each in document("models", "squares")["items"]] == ["squares/v2", "squares/v1"]
    compared = document("compare", "squares")
    assert [each["name"] for each in compared["versions"]] == ["squares/v1", "squares/v2"]
    assert document("compare", "squares", "v2", "@production")["versions"] == compared["versions"][::-1]
    nothing = darkroom("compare", "squares", "v1", "v2", "--plot", str(tmp_path / "out.png"), expect=ExitCode.FAILED)
    assert "test-set set" in nothing.stderr  # nothing is frozen
    darkroom("alias", "squares@production", "--remove")
    assert document("alias", "squares")["items"] == []
    meant = darkroom("models", "sqares/v1", expect=ExitCode.FAILED).stderr
    assert "Did you mean squares?" in meant and "project-not-found" in meant


def test_the_shell_completes_names_and_is_silent_when_nobody_answers(
    platform: Platform, here: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(platform, "squares", export_of("detection", tmp_path / "model.onnx"))
    darkroom("alias", "squares/v1", "production")
    found = {text: complete_model(text) for text in ("", "squares/", "squares@")}
    assert found == {"": ["squares"], "squares/": ["squares/v1"], "squares@": ["squares@production"]}
    (port,) = free_ports(1)
    monkeypatch.setenv("DARKROOM_URL", f"http://127.0.0.1:{port}")
    assert complete_model("") == complete_run("") == []


def test_completion_sends_no_token_to_where_it_is_redirected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    received: list[tuple[str, str | None]] = []

    class Redirecting(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            received.append((self.path, self.headers["Authorization"]))
            self.send_response(302 if self.path.startswith("/projects") else 200)
            self.send_header("Location", f"http://localhost:{self.server.server_address[1]}/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Redirecting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("DARKROOM_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("DARKROOM_API_TOKEN", "secret")
        assert complete_model("") == []
        server.shutdown()
    assert received == [("/projects?limit=100", "Bearer secret"), ("/elsewhere", None)]


def test_the_token_is_checked_stored_and_sent_to_its_own_address_alone(
    platform: Platform, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(platform, api_token="secret") as guarded, serving(platform) as other:
        url = str(guarded.base_url).rstrip("/")
        refused = darkroom("login", url, "--token", "wrong", expect=ExitCode.UNAUTHORIZED)
        assert "Run `darkroom login`" in refused.stderr and not config.exists()
        logged_in = CliRunner().invoke(app, ["login", url, "--token", "-", "--json"], input="secret\n")
        assert json.loads(logged_in.stdout) == {"url": url, "token": True, "version": "0.1.0", "file": str(config)}
        assert stat.S_IMODE(config.stat().st_mode) == 0o600
        assert document("status")["source"] == "the login file"
        assert document("status", "--url", str(other.base_url))["token"] is False
        monkeypatch.setenv("DARKROOM_API_TOKEN", "wrong")
        darkroom("projects", expect=ExitCode.UNAUTHORIZED)
        monkeypatch.delenv("DARKROOM_API_TOKEN")
        assert document("logout") == {"removed": True} and not config.exists()
        darkroom("projects", "--url", url, expect=ExitCode.UNAUTHORIZED)


def test_a_service_that_is_down_is_reported_as_such() -> None:
    (port,) = free_ports(1)
    down = darkroom("projects", "--url", f"http://127.0.0.1:{port}", expect=ExitCode.UNREACHABLE)
    assert "does not answer" in down.stderr and "make up" in down.stderr and "Traceback" not in down.output
    checks = document("doctor", "--url", f"127.0.0.1:{port}", expect=ExitCode.FAILED)["checks"]
    assert [each["name"] for each in checks if each["state"] == "fail"] == ["service"]


def test_the_doctor_finds_what_is_missing(here: httpx.Client, platform: Platform, config: Path) -> None:
    found = document("doctor", expect=ExitCode.FAILED)
    states = {each["name"]: each["state"] for each in found["checks"]}
    assert states["service"] == states["database"] == states["store"] == states["clock"] == "ok"
    assert (states["worker"], states["predictions"], found["ok"]) == ("warn", "fail", False)
    assert all(each["remedy"] for each in found["checks"] if each["state"] != "ok")
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps({"url": str(here.base_url), "token": "secret"}))
    config.chmod(0o644)
    text = darkroom("doctor", expect=ExitCode.FAILED).stdout
    assert f"chmod 600 {config}" in text and "python -m serving" in text
    given = darkroom("doctor", "--token", "other", expect=ExitCode.FAILED).stdout
    assert "sent, and none is needed" in given and "DARKROOM_API_TOKEN" not in given


@pytest.fixture
def predicting(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    (port,) = free_ports(1)
    with serving(platform, serving_port=port) as client, predictions(platform, port=port, serving_threads=1):
        monkeypatch.setenv("DARKROOM_URL", str(client.base_url))
        yield platform


def test_predictions_are_printed_drawn_and_receipted(predicting: Platform, tmp_path: Path) -> None:
    publish(predicting, "squares", export_of("detection", tmp_path / "model.onnx"))
    folder = tmp_path / "photos"
    folder.mkdir()
    draw_scenes(folder, 2)
    poisoned = folder / "zz.jpg"
    poisoned.write_bytes(b"\xff\xd8 no image")
    found = document("predict", "squares", folder, "--draw", f"{tmp_path}/drawn/", expect=ExitCode.FAILED)
    assert found["model"]["name"] == "squares/v1"
    *good, bad = found["images"]
    assert all(each["boxes"] and each["error"] is None for each in good) and len(good) == 2
    assert bad["image"] == str(poisoned) and bad["error"]
    drawn = sorted((tmp_path / "drawn").iterdir())
    assert len(drawn) == 2 and drawn[0].read_bytes()[:2] == b"\xff\xd8"
    image, receipt = good[0]["image"], tmp_path / "receipt.json"
    text = darkroom("predict", "squares", image, "--receipt", receipt).stdout
    assert "squares/v1" in text and good[0]["boxes"][0]["label"] in text
    assert json.loads(receipt.read_text())["model"]["name"] == "squares/v1"
    poisoned.unlink()
    note_worker(predicting.db, "yard:7", "operations", devices("operations"))
    checks = {each["name"]: each for each in document("doctor")["checks"]}
    computes = checks["operations worker"]
    assert computes["detail"].startswith("yard:7: cpu with ") and " on cpu in fp32 fp16 int8" in computes["detail"]
    assert (checks["predictions"]["state"], checks["worker"]["state"]) == ("ok", "warn")
    assert checks["engines"]["detail"].startswith("squares/v1 on ")
    assert checks["engines"]["detail"].endswith("(float32, cpu)")
    batch = document("predict", "squares", folder, "--batch", "--no-wait", "--confidence", "0.3")
    assert (batch["model"], batch["source"]["kind"], batch["options"]["confidence"]) == ("squares/v1", "upload", 0.3)
    darkroom("predict", "squares", folder, "--batch", "--format", "xml", expect=ExitCode.USAGE)


def test_the_newest_dataset_is_named_before_it_is_frozen_and_a_person_confirms_it(
    platform: Platform, here: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = lineage.dataset(platform, "balls")
    dataset = document("jobs", job.id)["dataset"]
    project = dataset.partition("/")[0]
    named = f"the test split of {dataset}, the newest dataset of {project}"
    frozen: list[str] = []

    def freeze(_self: TestSets, to: str, meant: Dataset) -> FrozenTestSet:
        frozen.append(meant.dataset or "")
        return FrozenTestSet(to, 1, meant.job_id, meant.dataset or "", "", 9, "", meant.created_at, {})

    monkeypatch.setattr(TestSets, "set", freeze)  # a worker would list its images
    for options in ((), ("--yes",)):
        assert f"Freezing {named}." in darkroom("test-set", "set", project, *options).stderr
    assert "newest" not in darkroom("test-set", "set", dataset).stderr
    monkeypatch.setattr("darkroom.cli.commands.test_sets.can_answer", lambda _: True)
    assert frozen == [dataset] * 3
    refused = CliRunner().invoke(app, ["test-set", "set", project], input="n\n")
    assert refused.exit_code == ExitCode.INTERRUPTED and f"Freeze {named}? [y/N]" in refused.stderr
    assert frozen == [dataset] * 3
    assert CliRunner().invoke(app, ["test-set", "set", project], input="y\n").exit_code == 0
    assert darkroom("test-set", "set", project, "--yes").exit_code == 0
    assert frozen == [dataset] * 5


def test_what_comes_next_is_what_works(platform: Platform, here: httpx.Client, tmp_path: Path) -> None:
    file = export_of("detection", tmp_path / "model.onnx")

    def following(name: str) -> str:
        with Client(str(here.base_url)) as client:
            return next_steps(client.exports.list(name))

    reasons = ["3 of 9 predictions differ."]
    made: dict[str, Any] = {"options": {"nms": "outside", "max_drop": None}}
    weak = publish(platform, "squares", file, passed=False, certificate=certificate(reasons=reasons), **made)
    assert "did not pass its certificate. 3 of 9 predictions differ." in following(weak)
    assert "predict " not in following(weak) and f"train squares --model {weak} --watch" in following(weak)
    good = publish(platform, "squares", file, certificate=certificate(), **made)
    assert following(good) == "Next: darkroom predict squares/v2 IMAGE"
    with platform.db.transaction() as session:
        session.execute(delete(ExportRow))
    assert following(good).startswith("Next: darkroom export squares/v2 ")


def test_open_prints_the_page_of_whatever_is_named(here: httpx.Client, platform: Platform, tmp_path: Path) -> None:
    job = lineage.dataset(platform, "balls", project="balls")
    version = lineage.version(platform, job.id, 0.9)
    darkroom("alias", "balls/v1", "production")
    base = str(here.base_url)
    for name, path in {
        "balls": "/ui/projects/balls",
        "balls/d1": f"/ui/datasets/{job.id}",
        job.id: f"/ui/datasets/{job.id}",
        "balls/v1": "/ui/projects/balls/versions/1",
        "balls@production": "/ui/projects/balls/versions/1",
        str(version.run_id): f"/ui/runs/{version.run_id}",
    }.items():
        assert darkroom("open", name).stdout == f"{base}{path}\n"
        page = here.get(path, headers={"accept": "text/html"})
        assert page.status_code == 200 and "<h1>" in page.text
    assert document("open") == {"url": f"{base}/ui/"}
    assert darkroom("open", "docs", "--print").stdout == f"{base}/docs\n"
    assert "MLflow" in darkroom("open", "balls/v1", "--mlflow", expect=ExitCode.FAILED).output
    darkroom("open", "no-such-project", expect=ExitCode.FAILED)
