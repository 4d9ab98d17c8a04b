"""`make demo`: labelled images go in, a model comes out, over HTTP, on a private stack.

private stack -> drawn images (or your ZIP) -> upload -> prepare -> train -> metrics -> download -> predict -> stop.
demo_kinds.py holds what differs between the kinds of dataset.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from core.domain.states import JOB_ENDED, RUN_ENDED, JobState, RunState
from deploy.local import progress_display as display
from deploy.local.client import Client
from deploy.local.demo_kinds import DRAWN, KINDS, Drawn, Kind
from deploy.local.private_stack import DemoFailed, PrivateStack, log_end, start_stack, stop_stack, wait_until_it_answers
from deploy.local.up import ROOT

MLFLOW_SECONDS = 30.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--kind", default="detection", help=f"which images to draw: {' or '.join(DRAWN)}")
    parser.add_argument("--zip", type=Path, help="your own labelled images, of any kind, instead of drawn ones")
    parser.add_argument("--keep", action="store_true", help="leave the stack running")
    args = parser.parse_args()
    if args.kind not in DRAWN:
        print(f"Unknown kind {args.kind!r}. Known kinds: {', '.join(DRAWN)}.", file=sys.stderr)
        return 2
    if args.zip and not args.zip.is_file():
        print(f"File not found: {args.zip}", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)  # as Ctrl-C: the stack is stopped on the way out
    return _run(_home(), DRAWN[args.kind], own=args.zip, keep=args.keep)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _home() -> Path:
    chosen = os.environ.get("DARKROOM_HOME")
    home = Path(chosen) if chosen else ROOT / ".darkroom" / f"demo-{time.strftime('%Y%m%d-%H%M%S')}"
    home.mkdir(parents=True, exist_ok=True)
    return home.resolve()


def _run(home: Path, drawn: Drawn, *, own: Path | None, keep: bool) -> int:
    started = time.monotonic()
    display.title("Darkroom demo", str(home))
    stack = start_stack(home)
    kept = False
    try:
        passed = _walk(stack, home, drawn, own=own, keep=keep)
        kept = keep
    except DemoFailed as failure:
        display.failure(str(failure), log=stack.log, log_end=log_end(stack))
        return 1
    except KeyboardInterrupt:
        display.console.print("\nStopping ...")
        return 130
    finally:
        if not kept:
            stop_stack(stack)
    display.console.print(f"\nDone in {time.monotonic() - started:.0f} s.")
    if not passed:
        name, least = drawn.wanted
        display.console.print(f"[bold red]{name} on the test split is below {least}.[/]")
    return 0 if passed else 1


def _walk(stack: PrivateStack, home: Path, drawn: Drawn, *, own: Path | None, keep: bool) -> bool:
    """Every step from upload to prediction. Returns False when a model of drawn images misses `drawn.wanted`."""
    archive = own or _draw(home, drawn)
    _start(stack)
    with Client(stack.api_url, token=os.environ.get("DARKROOM_API_TOKEN", "")) as client:
        job_id = _upload(client, archive)
        job = _prepare(client, job_id)
        kind = KINDS[job["kind"]]
        run = _train(client, job_id, kind, kind.own_params(job["images"]) if own else dict(drawn.params))
        version = client.get(f"/models/{job_id}/v{run['version']}")
        metrics = {split: values for split, values in version["metrics"].items() if values}
        kind.show_metrics(metrics)
        weights, files = _download(client, job_id, version, home, kind)
        if own:
            image, truth = kind.own_image(client, job_id, version, own, home), ""
        else:
            image = home / "held-out.jpg"
            truth = drawn.held_out(image)
        if keep:
            version = _with_mlflow_run(client, version)
    prediction = _predict(weights, image, home, min_score=kind.least_score(metrics), truth=truth)
    own_files: list[tuple[str, object]] = [("prediction", prediction), ("model", weights), *files]
    display.locations([*own_files, *_locations(stack, home, version, keep=keep)])
    name, least = drawn.wanted
    return own is not None or metrics["test"][name] >= least


def _draw(home: Path, drawn: Drawn) -> Path:
    with display.step("Draw") as step:
        archive = home / drawn.archive
        what = drawn.draw(archive)
        step.note(f"{what}, {archive.stat().st_size / 1e6:.1f} MB")
    return archive


def _start(stack: PrivateStack) -> None:
    with display.step("Start") as step:
        for missing in wait_until_it_answers(stack):
            step.note(missing)
        step.note(stack.api_url)


def _upload(client: Client, archive: Path) -> str:
    with display.step("Upload") as step:
        step.at(0, archive.stat().st_size)
        job = client.upload(archive, on_bytes=step.advance)
        step.note(job["job_id"])
    return str(job["job_id"])


def _prepare(client: Client, job_id: str) -> dict[str, Any]:
    with display.step("Prepare") as step:
        for job in client.follow(f"/jobs/{job_id}", ended=frozenset(JOB_ENDED)):
            step.note(job["stage"] or job["state"])
            if job["progress"]:
                step.at(job["progress"].get("done", 0), job["progress"].get("total", 1))
        if job["state"] == JobState.READY:
            step.note(f"fingerprint {job['fingerprint'][:16]}")
    if job["state"] == JobState.REJECTED:
        page = client.get(f"/jobs/{job_id}/findings", limit=display.MAX_FINDINGS)
        display.findings(page["items"], total=sum(found["count"] for found in job["findings"].values()))
    if job["state"] != JobState.READY:
        raise DemoFailed(f"The job is {job['state']}: {_reason(job)}")
    return job


def _train(client: Client, job_id: str, kind: Kind, params: dict[str, Any]) -> dict[str, Any]:
    with display.step("Train") as step:
        run_id = client.post(f"/train-async/{job_id}", {"trainer": kind.trainer, "params": params})["run_id"]
        for run in client.follow(f"/runs/{run_id}", ended=frozenset(RUN_ENDED)):
            progress = run["progress"]
            if progress and progress["epoch"]:
                step.at(progress["epoch"], progress["epochs"])
                step.note(f"{run['stage'] or run['state']}  {display.epoch_note(progress)}")
            else:
                step.note(run["stage"] or run["state"])
        if run["state"] == RunState.SUCCEEDED:
            step.note(f"v{run['version']} published")
    display.notes(run["notes"] or {})
    if run["state"] != RunState.SUCCEEDED:
        raise DemoFailed(f"The run is {run['state']}: {_reason(run)}")
    return run


def _reason(thing: dict[str, Any]) -> str:
    problem = thing["problem"] or {}
    return f"{problem.get('title', 'No problem was recorded')}. {problem.get('detail', '')}"


def _download(
    client: Client, job_id: str, version: dict[str, Any], home: Path, kind: Kind
) -> tuple[Path, list[tuple[str, Path]]]:
    """The weights, and the files for people with what each is."""
    artifacts = {item["name"]: item for item in version["artifacts"]}
    with display.step("Download") as step:
        sha256 = artifacts[version["weights"]]["sha256"]
        path = f"/download/model/{job_id}?version={version['version']}"
        weights = client.download(path, home / version["weights"], sha256=sha256)
        files = [
            (what, client.download(f"/models/{job_id}/{version['version']}/artifacts/{name}", home / name))
            for what, name in (("metrics", "metrics.json"), *kind.artifacts)
            if name in artifacts
        ]
        step.note(f"{weights.stat().st_size / 1e6:.1f} MB, sha256 {sha256[:16]} verified")
    return weights, files


def _with_mlflow_run(client: Client, version: dict[str, Any]) -> dict[str, Any]:
    """The version with its MLflow run; without it when the MLflow sync takes longer than MLFLOW_SECONDS."""
    with display.step("MLflow") as step:
        step.note("waiting for the MLflow sync")
        ends = time.monotonic() + MLFLOW_SECONDS
        while not (version["mlflow"] or {}).get("version") and time.monotonic() < ends:
            time.sleep(1)
            version = client.get(version["links"]["self"])
        step.note("registered" if version["mlflow"] else "not registered yet; the sync goes on in the background")
    return version


def _predict(weights: Path, image: Path, home: Path, *, min_score: float | None, truth: str) -> Path:
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
        command = [
            sys.executable,
            "-m",
            "pipeline",
            "predict",
            *(str(part) for pair in options.items() for part in pair),
        ]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode != 0:
            raise DemoFailed(f"The prediction failed:\n{done.stdout}{done.stderr}")
        labels = [line.partition("  ")[0] for line in done.stdout.splitlines()[:-1]]
        text = f"{', '.join(labels[:3])}{' ...' if labels[3:] else ''}" if labels else "no prediction"
        step.note(f"{text}  (ground truth: {truth})" if truth else text)
    return prediction


def _locations(stack: PrivateStack, home: Path, version: dict[str, Any], *, keep: bool) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [("all files", home), ("log", stack.log)]
    if keep:
        rows += [
            ("API", f"{stack.api_url}/docs"),
            ("MLflow", (version["mlflow"] or {}).get("link") or stack.mlflow_url),
            ("to stop it", "make down"),
        ]
    return rows


if __name__ == "__main__":
    sys.exit(main())
