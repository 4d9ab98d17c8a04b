"""The steps of the demo, each one line of its display."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.domain.states import JOB_ENDED, RUN_ENDED, JobState, RunState
from deploy.local import progress_display as display
from deploy.local.client import Client
from deploy.local.demo_kinds import Drawn, Kind
from deploy.local.private_stack import DemoFailed, PrivateStack, wait_until_it_answers
from deploy.local.up import ROOT

MLFLOW_SECONDS = 30.0
PRODUCTION = "production"


def draw(home: Path, drawn: Drawn) -> list[Path]:
    """The archives of the project's first and second dataset."""
    archives = [home / drawn.archive, home / f"more-{drawn.archive}"]
    with display.step("Draw") as step:
        what = drawn.draw(archives[0])
        step.note(what)
        more = drawn.draw_more(archives[1])
        megabytes = sum(archive.stat().st_size for archive in archives) / 1e6
        step.note(f"{what}, and {more} for later: {megabytes:.1f} MB")
    return archives


def start(stack: PrivateStack) -> None:
    with display.step("Start") as step:
        for missing in wait_until_it_answers(stack):
            step.note(missing)
        step.note(stack.api_url)


def add_dataset(client: Client, archive: Path, *, project: str) -> dict[str, Any]:
    """Upload and prepare the next dataset of the project; returns its job. Raises DemoFailed unless it is ready."""
    with display.step("Upload") as step:
        step.at(0, archive.stat().st_size)
        accepted = client.upload(archive, project=project, on_bytes=step.advance)
        step.note(f"{accepted['dataset']}  {accepted['job_id']}")
    with display.step("Prepare") as step:
        for job in client.follow(accepted["links"]["self"], ended=frozenset(JOB_ENDED)):
            step.note(job["stage"] or job["state"])
            if job["progress"]:
                step.at(job["progress"].get("done", 0), job["progress"].get("total", 1))
        if job["state"] == JobState.READY:
            step.note(f"{job['images']} images, fingerprint {job['fingerprint'][:16]}")
    if job["state"] == JobState.REJECTED:
        page = client.get(f"/jobs/{job['job_id']}/findings", limit=display.MAX_FINDINGS)
        display.findings(page["items"], total=sum(found["count"] for found in job["findings"].values()))
    if job["state"] != JobState.READY:
        raise DemoFailed(f"{job['dataset']} is {job['state']}: {_reason(job)}")
    return job


def train(client: Client, job: Mapping[str, Any], kind: Kind, params: Mapping[str, Any]) -> dict[str, Any]:
    """The version that a run on the dataset publishes. Raises DemoFailed when the run does not succeed."""
    with display.step("Train") as step:
        started = client.post(f"/train-async/{job['job_id']}", {"trainer": kind.trainer, "params": dict(params)})
        for run in client.follow(f"/runs/{started['run_id']}", ended=frozenset(RUN_ENDED)):
            progress = run["progress"]
            if progress and progress["epoch"]:
                step.at(progress["epoch"], progress["epochs"])
                step.note(f"{run['stage'] or run['state']}  {display.epoch_note(progress)}")
            else:
                step.note(run["stage"] or run["state"])
        if run["state"] == RunState.SUCCEEDED:
            version = client.get(f"/models/{job['job_id']}/v{run['version']}")
            step.note(f"{version['name']} published")
    display.notes(run["notes"] or {})
    if run["state"] != RunState.SUCCEEDED:
        raise DemoFailed(f"The run on {job['dataset']} is {run['state']}: {_reason(run)}")
    return version


def _reason(thing: Mapping[str, Any]) -> str:
    problem = thing["problem"] or {}
    return f"{problem.get('title', 'No problem was recorded')}. {problem.get('detail', '')}"


def measured(version: Mapping[str, Any]) -> dict[str, Any]:
    """Its metrics by split, without the splits that its dataset has not."""
    return {split: version["metrics"][split] for split in ("val", "test") if version["metrics"].get(split)}


def promote(client: Client, version: Mapping[str, Any]) -> dict[str, Any]:
    """Make it the production version of its project; returns it as it is then."""
    with display.step("Promote") as step:
        client.put(f"/projects/{version['project']}/aliases/{PRODUCTION}", {"version": version["version"]})
        step.note(f"{version['project']}@{PRODUCTION} is {version['name']}")
    return client.get(version["links"]["self"])


def list_versions(client: Client, project: str, datasets: Sequence[Mapping[str, Any]]) -> None:
    """`datasets`: the jobs of this demo."""
    names = {job["job_id"]: job["dataset"] for job in datasets}
    versions = client.get(f"/projects/{project}/models")["items"]
    display.versions([version | {"dataset": names.get(version["job_id"], "")} for version in reversed(versions)])


def download(client: Client, version: Mapping[str, Any], home: Path, kind: Kind) -> tuple[Path, list[tuple[str, Path]]]:
    """The weights of the production version, and the files for people with what each is."""
    artifacts = {item["name"]: item for item in version["artifacts"]}
    with display.step("Download") as step:
        sha256 = artifacts[version["weights"]]["sha256"]
        path = f"/download/model/{version['project']}?alias={PRODUCTION}"
        weights = client.download(path, home / version["weights"], sha256=sha256)
        files = [
            (what, client.download(artifacts[name]["links"]["self"], home / name))
            for what, name in (("metrics", "metrics.json"), *kind.artifacts)
            if name in artifacts
        ]
        step.note(f"{version['name']}, {weights.stat().st_size / 1e6:.1f} MB, sha256 {sha256[:16]} verified")
    return weights, files


def export(client: Client, version: Mapping[str, Any]) -> None:
    """Its ONNX, queued when it was published. One that fails changes nothing of the version, nor of the demo."""
    path = version["links"]["exports"]
    with display.step("Export") as step:
        for waiting in client.get(path)["waiting"]:
            for operation in client.follow(waiting["links"]["self"], ended=frozenset(RUN_ENDED)):
                step.note(operation["stage"] or operation["state"])
        found = client.get(path)
        lines = [_export_line(each) for each in found["items"]] + [_reason(each) for each in found["failed"]]
        step.note("; ".join(lines) or "none")


def _export_line(made: Mapping[str, Any]) -> str:
    line = f"{made['format']} {made['bytes'] / 1e6:.1f} MB"
    if not made["passed"]:
        return f"{line}, not passed: {' '.join(made['reasons'])}"
    if predictions := made["predictions"]:
        line += f", {predictions['equal']} of {predictions['compared']} predictions equal, {made['speed_up']}x as fast"
    return line


def draw_lineage(client: Client, project: str, home: Path) -> Path:
    return client.download(f"/projects/{project}/lineage?format=svg", home / "lineage.svg")


def with_mlflow_run(client: Client, version: dict[str, Any]) -> dict[str, Any]:
    """The version with its MLflow run; without it when the MLflow sync takes longer than MLFLOW_SECONDS."""
    with display.step("MLflow") as step:
        step.note("waiting for the MLflow sync")
        ends = time.monotonic() + MLFLOW_SECONDS
        while not (version["mlflow"] or {}).get("version") and time.monotonic() < ends:
            time.sleep(1)
            version = client.get(version["links"]["self"])
        step.note("registered" if version["mlflow"] else "not registered yet; the sync goes on in the background")
    return version


def predict(weights: Path, image: Path, home: Path, *, min_score: float | None, truth: str) -> Path:
    """`truth`: the ground truth of the image, where it is known."""
    prediction = home / "prediction.png"
    with display.step("Predict") as step:
        options: dict[str, object] = {
            "--model": weights,
            "--image": image,
            "--out": prediction,
            "--json": home / "prediction.json",
        }
        if min_score is not None:
            options["--conf"] = min_score
        arguments = [str(part) for pair in options.items() for part in pair]
        command = [sys.executable, "-m", "pipeline", "predict", *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode != 0:
            raise DemoFailed(f"The prediction failed:\n{done.stdout}{done.stderr}")
        labels = [line.partition("  ")[0] for line in done.stdout.splitlines()[:-1]]
        text = f"{', '.join(labels[:3])}{' ...' if labels[3:] else ''}" if labels else "no prediction"
        step.note(f"{text}  (ground truth: {truth})" if truth else text)
    return prediction
