"""`make demo`: labelled pictures go in, a model comes out, over HTTP, with nothing running before.

private stack -> scenes (or your ZIP) -> upload -> prepare -> train -> metrics -> download -> predict -> stop.
"""

import argparse
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

from core.domain.states import JOB_ENDED, RUN_ENDED, JobState, RunState
from deploy.local import show
from deploy.local.client import Client
from deploy.local.private_stack import DemoFailed, PrivateStack, log_end, start_stack, stop_stack, wait_until_it_answers
from deploy.local.scenes import draw_scenes, jpeg, write_archive
from deploy.local.up import ROOT

SCENES = 240
SEED = 0
MIRROR_SECONDS = 30.0
WANTED_MAP50 = 0.8  # on the untouched test split; a model that learned nothing has 0
SCENE_PARAMS: dict[str, Any] = {
    "model": "yolov8n",
    "pretrained": "never",  # the same everywhere, and nothing is fetched
    "epochs": 28,
    "imgsz": 128,
    "batch": 8,
    "nbs": 8,  # 21 steps an epoch instead of 3: all that 168 pictures can give in two minutes
    "optimizer": "AdamW",
    "lr0": 0.002,
    "momentum": 0.9,
    "mosaic": 0.0,
    "scale": 0.3,
}
OWN_PICTURES_SEEN = 2200  # all epochs together: about four minutes at 320 px on two cores
LEAST_SCORE = 0.25  # of a box that is drawn


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--zip", type=Path, help="your own labelled pictures instead of drawn scenes")
    parser.add_argument("--keep", action="store_true", help="leave the stack running")
    args = parser.parse_args()
    if args.zip and not args.zip.is_file():
        print(f"There is no file {args.zip}.", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)  # as Ctrl-C: the stack is stopped on the way out
    return _run(_home(), own=args.zip, keep=args.keep)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _home() -> Path:
    chosen = os.environ.get("DARKROOM_HOME")
    home = Path(chosen) if chosen else ROOT / ".darkroom" / f"demo-{time.strftime('%Y%m%d-%H%M%S')}"
    home.mkdir(parents=True, exist_ok=True)
    return home.resolve()


def _run(home: Path, *, own: Path | None, keep: bool) -> int:
    started = time.monotonic()
    show.title("Darkroom demo", str(home))
    stack = start_stack(home)
    kept = False
    try:
        passed = _walk(stack, home, own=own, keep=keep)
        kept = keep
    except DemoFailed as failure:
        show.failure(str(failure), log=stack.log, log_end=log_end(stack))
        return 1
    except KeyboardInterrupt:
        show.console.print("\nStopping ...")
        return 130
    finally:
        if not kept:
            stop_stack(stack)
    show.console.print(f"\nDone in {time.monotonic() - started:.0f} s.")
    if not passed:
        show.console.print(f"[bold red]mAP50 on the test split should be at least {WANTED_MAP50}.[/]")
    return 0 if passed else 1


def _walk(stack: PrivateStack, home: Path, *, own: Path | None, keep: bool) -> bool:
    """The straight line. False when a model of the drawn scenes is worse than it should be."""
    archive = own or _draw(home)
    _start(stack)
    with Client(stack.api_url, token=os.environ.get("DARKROOM_API_TOKEN", "")) as client:
        job_id = _upload(client, archive)
        job = _prepare(client, job_id)
        run = _train(client, job_id, _own_params(job["images"]) if own else SCENE_PARAMS)
        version = client.get(f"/models/{job_id}/v{run['version']}")
        metrics = {split: values for split, values in version["metrics"].items() if values}
        show.metrics(metrics)
        weights = _download(client, job_id, version, home)
        picture = _from_the_prepared_set(client, job_id, home) if own else _held_out(home)
        if keep:
            version = _mirrored(client, version)
    prediction = _predict(weights, picture, home, min_score=metrics["val"]["min_score"])
    show.places(_places(stack, home, version, weights=weights, prediction=prediction, keep=keep))
    return own is not None or metrics["test"]["mAP50"] >= WANTED_MAP50


def _draw(home: Path) -> Path:
    with show.step("Draw") as step:
        archive = home / "shapes-voc.zip"
        write_archive(archive, scenes=SCENES, seed=SEED)
        step.note(f"{SCENES} scenes, {archive.stat().st_size / 1e6:.1f} MB")
    return archive


def _start(stack: PrivateStack) -> None:
    with show.step("Start") as step:
        for missing in wait_until_it_answers(stack):
            step.note(missing)
        step.note(stack.api_url)


def _upload(client: Client, archive: Path) -> str:
    with show.step("Upload") as step:
        step.at(0, archive.stat().st_size)
        job = client.upload(archive, on_bytes=step.advance)
        step.note(job["job_id"])
    return str(job["job_id"])


def _own_params(images: int) -> dict[str, Any]:
    """A first look at somebody's pictures within minutes: as many epochs as the time allows, small steps."""
    epochs = min(150, max(10, round(OWN_PICTURES_SEEN / (0.7 * images))))  # 0.7: the train split
    steps = {"batch": 4, "nbs": 4, "optimizer": "AdamW", "lr0": 0.001, "momentum": 0.9}
    return {"model": "yolov8n", "imgsz": 320, "epochs": epochs, "patience": 0, "max_minutes": 4, **steps}


def _prepare(client: Client, job_id: str) -> dict[str, Any]:
    with show.step("Prepare") as step:
        for job in client.follow(f"/jobs/{job_id}", ended=frozenset(JOB_ENDED)):
            step.note(job["stage"] or job["state"])
            if job["progress"]:
                step.at(job["progress"].get("done", 0), job["progress"].get("total", 1))
        if job["state"] == JobState.READY:
            step.note(f"fingerprint {job['fingerprint'][:16]}")
    if job["state"] == JobState.REJECTED:
        page = client.get(f"/jobs/{job_id}/findings", limit=show.SHOWN_FINDINGS)
        show.findings(page["items"], total=sum(found["count"] for found in job["findings"].values()))
    if job["state"] != JobState.READY:
        raise DemoFailed(f"The job is {job['state']}: {_reason(job)}")
    return job


def _train(client: Client, job_id: str, params: dict[str, Any]) -> dict[str, Any]:
    with show.step("Train") as step:
        run_id = client.post(f"/train-async/{job_id}", {"trainer": "yolo", "params": params})["run_id"]
        for run in client.follow(f"/runs/{run_id}", ended=frozenset(RUN_ENDED)):
            progress = run["progress"]
            if progress and progress["epoch"]:
                step.at(progress["epoch"], progress["epochs"])
                step.note(f"{run['stage'] or run['state']}  {show.epoch_note(progress)}")
            else:
                step.note(run["stage"] or run["state"])
        if run["state"] == RunState.SUCCEEDED:
            step.note(f"v{run['version']} published")
    show.notes(run["notes"] or {})
    if run["state"] != RunState.SUCCEEDED:
        raise DemoFailed(f"The run has {run['state']}: {_reason(run)}")
    return run


def _reason(thing: dict[str, Any]) -> str:
    problem = thing["problem"] or {}
    return f"{problem.get('title', 'nothing is known')}. {problem.get('detail', '')}"


def _download(client: Client, job_id: str, version: dict[str, Any], home: Path) -> Path:
    with show.step("Download") as step:
        sha256 = next(item["sha256"] for item in version["artifacts"] if item["name"] == "best.pt")
        path = f"/download/model/{job_id}?version={version['version']}"
        weights = client.download(path, home / "best.pt", sha256=sha256)
        client.download(f"/models/{job_id}/{version['version']}/artifacts/metrics.json", home / "metrics.json")
        step.note(f"{weights.stat().st_size / 1e6:.1f} MB, sha256 {sha256[:16]} as promised")
    return weights


def _held_out(home: Path) -> Path:
    """The first scene of another seed with three kinds of shapes: no split has it."""
    scenes = draw_scenes(SCENES, seed=SEED + 1)
    varied = next(scene for scene in scenes if len({box.name for box in scene.boxes}) >= 3)
    path = home / "held-out.jpg"
    path.write_bytes(jpeg(varied.picture))
    return path


def _from_the_prepared_set(client: Client, job_id: str, home: Path) -> Path:
    """The first picture of the test split, or of val where there is no test split."""
    archive = client.download(f"/dataset/download/{job_id}", home / "dataset.tar")
    with tarfile.open(archive) as tar:
        names = sorted(member.name for member in tar if member.isfile() and member.name.startswith("images/"))
        for split in ("test", "val"):
            chosen = next((name for name in names if name.startswith(f"images/{split}/")), None)
            if chosen:
                break
        if chosen is None:
            raise DemoFailed("The prepared set has no picture outside its train split.")
        content = tar.extractfile(chosen)
        path = home / f"held-out{Path(chosen).suffix}"
        path.write_bytes(content.read() if content else b"")
    return path


def _mirrored(client: Client, version: dict[str, Any]) -> dict[str, Any]:
    """The version with its MLflow run; without, when the mirror takes longer than people like to wait."""
    with show.step("Mirror") as step:
        step.note("waiting for MLflow")
        ends = time.monotonic() + MIRROR_SECONDS
        while not (version["mlflow"] or {}).get("version") and time.monotonic() < ends:
            time.sleep(1)
            version = client.get(version["links"]["self"])
        step.note("in MLflow" if version["mlflow"] else "MLflow is still catching up")
    return version


def _predict(weights: Path, picture: Path, home: Path, *, min_score: float | None) -> Path:
    """`min_score`: where F1 peaks on the val split; None when nothing was found there."""
    prediction = home / "prediction.png"
    with show.step("Predict") as step:
        options = {
            "--model": weights,
            "--image": picture,
            "--out": prediction,
            "--json": home / "prediction.json",
            "--conf": max(LEAST_SCORE, min_score or 0.0),
        }
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
        found = [line.partition("  ")[0] for line in done.stdout.splitlines()[:-1]]
        step.note(
            f"{len(found)} found: {', '.join(found[:3])}{' ...' if found[3:] else ''}" if found else "nothing found"
        )
    return prediction


def _places(
    stack: PrivateStack, home: Path, version: dict[str, Any], *, weights: Path, prediction: Path, keep: bool
) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [
        ("picture with boxes", prediction),
        ("weights", weights),
        ("metrics", home / "metrics.json"),
        ("everything else", home),
        ("log", stack.log),
    ]
    if keep:
        rows += [
            ("API", f"{stack.api_url}/docs"),
            ("MLflow", (version["mlflow"] or {}).get("link") or stack.mlflow_url),
            ("to stop it", "make down"),
        ]
    return rows


if __name__ == "__main__":
    sys.exit(main())
