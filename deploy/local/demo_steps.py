"""The steps of the demo, each one line of its display."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from darkroom import Client
from darkroom.schemas import Dataset, Export, ModelVersion, Operation
from deploy.local import progress_display as display
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


def add_dataset(client: Client, archive: Path, *, project: str) -> Dataset:
    """Upload and prepare the next dataset of the project. Raises DarkroomError unless it is ready."""
    with display.step("Upload") as step:
        received = client.datasets.upload(
            archive, project=project, wait=False, on_progress=lambda sent: step.at(sent.done_bytes, sent.total_bytes)
        )
        step.note(f"{received.dataset}  {received.job_id}")
    with display.step("Prepare") as step:
        for dataset in client.datasets.follow(received):
            step.note(dataset.stage or dataset.state)
            if dataset.progress:
                step.at(dataset.progress.get("done", 0), dataset.progress.get("total", 1))
        if dataset.state == "ready":
            step.note(f"{dataset.images} images, fingerprint {str(dataset.fingerprint)[:16]}")
    if dataset.state == "rejected":
        display.findings(list(client.datasets.findings(dataset)))
    return client.datasets.wait(dataset)


def train(client: Client, dataset: Dataset, kind: Kind, params: Mapping[str, Any]) -> ModelVersion:
    """The version that a run on the dataset publishes. Raises WorkFailed when the run does not succeed."""
    with display.step("Train") as step:
        for run in client.runs.follow(client.runs.train(dataset, trainer=kind.trainer, params=params)):
            if run.progress and run.progress["epoch"]:
                step.at(run.progress["epoch"], run.progress["epochs"])
                step.note(f"{run.stage or run.state}  {display.epoch_note(run.progress)}")
            else:
                step.note(run.stage or run.state)
        if run.version is not None:
            step.note(f"{dataset.project}/v{run.version} published")
    display.notes(run.notes or {})
    client.runs.wait(run)
    return client.models.get(f"{dataset.project}/v{run.version}")


def measured(version: ModelVersion) -> dict[str, Any]:
    """Its metrics by split, without the splits that its dataset has not."""
    return {split: version.metrics[split] for split in ("val", "test") if version.metrics.get(split)}


def promote(client: Client, version: ModelVersion) -> ModelVersion:
    """Make it the production version of its project; returns it as it is then."""
    with display.step("Promote") as step:
        client.aliases.set(version.project, PRODUCTION, version.version)
        step.note(f"{version.project}@{PRODUCTION} is {version.name}")
    return client.models.get(version)


def list_versions(client: Client, project: str, datasets: Sequence[Dataset]) -> None:
    """`datasets`: those of this demo."""
    names = {dataset.job_id: dataset.dataset for dataset in datasets}
    versions = list(client.models.list(project=project))
    display.versions([(version, names.get(str(version.job_id), "")) for version in reversed(versions)])


def download(client: Client, version: ModelVersion, home: Path, kind: Kind) -> tuple[Path, list[tuple[str, Path]]]:
    """The weights of the production version, and the files for people with what each is."""
    artifacts = {artifact.name: artifact for artifact in version.artifacts}
    with display.step("Download") as step:
        sha256 = artifacts[version.weights].sha256
        weights = client.models.download(f"{version.project}@{PRODUCTION}", home / version.weights)
        files = [
            (what, client.models.artifact(version, name, home / name))
            for what, name in (("metrics", "metrics.json"), *kind.artifacts)
            if name in artifacts
        ]
        step.note(f"{version.name}, {weights.stat().st_size / 1e6:.1f} MB, sha256 {sha256[:16]} verified")
    return weights, files


def export(client: Client, version: ModelVersion) -> None:
    """Its ONNX, queued when it was published. One that fails changes nothing of the version, nor of the demo."""
    with display.step("Export") as step:
        for waiting in client.exports.list(version).waiting:
            for operation in client.operations.follow(waiting):
                step.note(operation.stage or operation.state)
        found = client.exports.list(version)
        step.note("; ".join([*map(_export_line, found.items), *map(_reason, found.failed)]) or "none")


def _export_line(made: Export) -> str:
    line = f"{made.format} {made.bytes / 1e6:.1f} MB"
    if not made.passed:
        return f"{line}, not passed: {' '.join(made.reasons)}"
    if made.predictions:
        line += f", {made.predictions.equal} of {made.predictions.compared} predictions equal, {made.speed_up}x as fast"
    return line


def _reason(failed: Operation) -> str:
    return failed.problem.text if failed.problem else "no problem was recorded"


def draw_lineage(client: Client, project: str, home: Path) -> Path:
    return client.projects.draw_lineage(project, home / "lineage.svg")


def with_mlflow_run(client: Client, version: ModelVersion) -> ModelVersion:
    """The version with its MLflow run; without it when the MLflow sync takes longer than MLFLOW_SECONDS."""
    with display.step("MLflow") as step:
        step.note("waiting for the MLflow sync")
        ends = time.monotonic() + MLFLOW_SECONDS
        while not (version.mlflow and version.mlflow.version) and time.monotonic() < ends:
            time.sleep(1)
            version = client.models.get(version)
        step.note("registered" if version.mlflow else "not registered yet; the sync goes on in the background")
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
