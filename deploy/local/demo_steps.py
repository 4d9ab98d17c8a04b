"""The steps of the demo, each one line of its display."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from darkroom import Client, Conflict
from darkroom.schemas import Dataset, Export, ModelVersion, Operation, Prediction, Run
from darkroom.states import READY, SUCCEEDED
from darkroom.uploads import UploadProgress
from deploy.local import progress_display as display
from deploy.local.demo_kinds import Drawn, Kind
from deploy.local.demo_predictions import LabelledImage, agreement_text
from deploy.local.private_stack import DemoFailed, PrivateStack, wait_until_it_answers
from pipeline.samples.drawing import beside

MLFLOW_SECONDS = 30.0
SWITCH_SECONDS = 30.0  # serving looks up an alias every 0.5 s, and loads the version before it switches
PAUSE_SECONDS = 0.02  # between requests: a core stays free for the version that loads
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


def add_dataset(
    client: Client,
    archive: Path,
    *,
    project: str | None = None,
    extends: Dataset | None = None,
    held_out: float | None = None,
) -> Dataset:
    """Upload and prepare the next dataset of the project, or the one that `extends` another.

    `held_out`: the fraction for val, and that for test. Raises DemoFailed unless it is ready.
    """
    with display.step("Upload") as step:

        def show(progress: UploadProgress) -> None:
            step.at(progress.done_bytes, progress.total_bytes)

        received = client.datasets.upload(
            archive,
            project=project,
            extends=extends,
            val_fraction=held_out,
            test_fraction=held_out,
            wait=False,
            on_progress=show,
        )
        step.note(f"{received.dataset}  {received.job_id}")
    with display.step("Prepare") as step:
        for dataset in client.datasets.follow(received):
            step.note(dataset.stage or dataset.state)
            if dataset.progress:
                step.at(dataset.progress.get("done", 0), dataset.progress.get("total", 1))
        if dataset.state == READY:
            step.note(f"{dataset.images} images, fingerprint {str(dataset.fingerprint)[:16]}")
    if dataset.findings and dataset.state != READY:
        total = sum(found.count for found in dataset.findings.values())
        display.findings(client.datasets.findings(dataset), total=total)
    if dataset.state != READY:
        raise DemoFailed(f"{dataset.dataset} is {dataset.state}: {_reason(dataset)}")
    return dataset


def freeze(client: Client, dataset: Dataset) -> None:
    """From here on no dataset of the project takes an image of its test split to train on."""
    with display.step("Freeze") as step:
        frozen = client.test_sets.set(str(dataset.project), dataset)
        step.note(f"the {frozen.images} test images of {dataset.dataset} are the test set of the project")


def train(client: Client, dataset: Dataset, kind: Kind, params: Mapping[str, Any]) -> ModelVersion:
    """The version that a run on the dataset publishes. Raises DemoFailed when the run does not succeed."""
    with display.step("Train") as step:
        queued = client.runs.train(dataset, trainer=kind.trainer, params=params)
        for run in client.runs.follow(queued):
            if run.progress and run.progress["epoch"]:
                step.at(run.progress["epoch"], run.progress["epochs"])
                step.note(f"{run.stage or run.state}  {display.epoch_note(run.progress)}")
            else:
                step.note(run.stage or run.state)
        if run.state == SUCCEEDED:
            version = client.models.get(f"{run.project}/v{run.version}")
            step.note(f"{version.name} published")
    display.notes(run.notes or {})
    if run.state != SUCCEEDED:
        raise DemoFailed(f"The run on {dataset.dataset} is {run.state}: {_reason(run)}")
    return version


def _reason(work: Dataset | Run | Operation) -> str:
    return work.problem.text if work.problem else "No problem was recorded."


def measured(version: ModelVersion) -> dict[str, Any]:
    """Its metrics by split, without the splits that its dataset has not."""
    return {split: version.metrics[split] for split in ("val", "test") if version.metrics.get(split)}


def promote(client: Client, version: ModelVersion) -> None:
    """Make it the production version of its project."""
    with display.step("Promote") as step:
        client.aliases.set(version.project, PRODUCTION, version.version)
        step.note(f"{version.project}@{PRODUCTION} is {version.name}")


def export(client: Client, version: ModelVersion) -> None:
    """Its ONNX, queued when it was published. One that fails changes nothing of the version."""
    with display.step("Export") as step:
        step.note(f"{version.name}: waiting")
        for waiting in client.exports.list(version).waiting:
            for operation in client.operations.follow(waiting):
                step.note(f"{version.name}: {operation.stage or operation.state}")
        found = client.exports.list(version)
        lines = [_export_line(each) for each in found.items] + [_reason(each) for each in found.failed]
        step.note(f"{version.name}: {'; '.join(lines) or 'none'}")


def _export_line(made: Export) -> str:
    line = f"{made.format} {made.bytes / 1e6:.1f} MB"
    if not made.passed:
        return f"{line}, not passed: {' '.join(made.reasons)}"
    if made.predictions:
        equal = f"{made.predictions.equal} of {made.predictions.compared} predictions equal"
        line += f", {equal}, {made.speed_up}x as fast"
    return line


def compare(client: Client, first: ModelVersion, second: ModelVersion, *, metric: str) -> None:
    """On the frozen test set, which neither was trained on. Raises WorkFailed where an evaluation fails."""
    with display.step("Compare") as step:
        step.note(f"{first.version} and {second.version} on the frozen test set")
        found = client.evaluations.compare(first.project, first.version, second.version)
        for operation in found.operations:
            client.operations.wait(operation)
        if found.operations:
            found = client.evaluations.compare(first.project, first.version, second.version)
        figures = {each.metric: each for each in found.figures}
        compared = figures[metric]
        step.note(
            f"on the test set of {found.dataset}: {metric} {first.version} {display.number(compared.first)}, "
            f"{second.version} {display.number(compared.second)}"
        )


def predict(client: Client, project: str, images: Sequence[LabelledImage]) -> str:
    """The version that answers for `production`; an empty string where it is not served."""
    with display.step("Predict") as step:
        step.note("loading the model")
        try:
            predictions = [_predicted(client, project, image) for image in images]
        except Conflict as refused:
            step.note(refused.detail)
            return ""
        version, milliseconds = predictions[0].model.name, min(_milliseconds(each) for each in predictions)
        step.note(f"{version} answers: {agreement_text(images, predictions)}; {milliseconds:.0f} ms an image")
        return version


def _predicted(client: Client, project: str, image: LabelledImage) -> Prediction:
    return client.predict_from_image_bytes(f"{project}@{PRODUCTION}", image.content)


def _milliseconds(prediction: Prediction) -> float:
    """Without the loading of the model."""
    return sum(spent for stage, spent in prediction.answer.milliseconds.items() if stage != "loading")


def switch(client: Client, version: ModelVersion, images: Sequence[LabelledImage]) -> None:
    """Move `production` to the version while requests go on. Raises DemoFailed where it does not answer in time."""
    with display.step("Switch") as step:
        before, requests = _predicted(client, version.project, images[0]).model.name, 0
        client.aliases.set(version.project, PRODUCTION, version.version)
        started, answering = time.monotonic(), before
        while answering != version.name:
            if time.monotonic() - started > SWITCH_SECONDS:
                raise DemoFailed(f"{answering} still answers for {PRODUCTION} after {SWITCH_SECONDS:.0f} s.")
            answering = _predicted(client, version.project, images[requests % len(images)]).model.name
            requests += 1
            time.sleep(PAUSE_SECONDS)
        seconds = time.monotonic() - started
        step.note(f"{before} -> {answering} after {seconds:.1f} s; {requests} requests meanwhile, all answered")


def draw_prediction(
    client: Client, project: str, dataset: Dataset, images: Sequence[LabelledImage], home: Path
) -> Path:
    """The image with the most labelled boxes: on the left as labelled, on the right as predicted."""
    image = max(images, key=lambda each: each.labelled.box_count)
    labelled = client.datasets.image(dataset, image.labelled.sha256, boxes=True)
    predicted = client.annotate(f"{project}@{PRODUCTION}", image.content, top=1)
    return beside(labelled, predicted, home / "prediction.jpg")


def list_versions(client: Client, project: str, datasets: Sequence[Dataset]) -> None:
    """`datasets`: those of this demo."""
    names = {dataset.job_id: dataset.dataset for dataset in datasets}
    newest_first = list(client.models.list(project=project))
    display.versions([(version, names.get(version.job_id or "", "")) for version in reversed(newest_first)])


def download(client: Client, project: str, home: Path, kind: Kind) -> list[tuple[str, Path]]:
    """The production version: its weights and the files for people, with what each is."""
    version = client.models.get(f"{project}@{PRODUCTION}")
    artifacts = {artifact.name: artifact for artifact in version.artifacts}
    with display.step("Download") as step:
        weights = client.models.download(version, home / version.weights)
        files = [
            (what, client.models.artifact(version, name, home / name))
            for what, name in (("metrics", "metrics.json"), *kind.artifacts)
            if name in artifacts
        ]
        size, sha256 = weights.stat().st_size, artifacts[version.weights].sha256
        step.note(f"{version.name}, {size / 1e6:.1f} MB, sha256 {sha256[:16]} verified")
    return [("model", weights), *files]


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
        registered = version.mlflow and version.mlflow.version
        step.note("registered" if registered else "not registered yet; the sync goes on in the background")
    return version
