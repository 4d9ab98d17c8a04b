"""What the platform adds to a training: `python -m benchmarks.train [--trainer vit] [--pairs 5] [--epochs 40]`.

Figures, as JSON lines:
- the time from POST /train-async to the published version, divided by that of the same training with the framework
  alone, in alternating pairs (platform, bare, bare, platform, ...). Bare means one process: train, evaluate the best
  model on val and on test. The ratio includes what the platform adds (fetch, store, publish), which is also listed by
  stage;
- for `vit`, whose bare run draws nothing, the same without the report, whose seconds are listed separately;
- the time from POST /train-async to the start of the child process, with a running worker.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from darkroom import Client
from deploy.local import poses
from deploy.local.private_stack import start_stack, stop_stack, wait_until_it_answers
from pipeline.samples import scenes

# Bare: the script that a user of the framework writes, in the environment of the child (offline, fonts, settings).
BARE = """
import json, sys
from pathlib import Path
from pipeline.trainers.yolo.environment import go_offline
folder, data, params = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
go_offline(folder / "config")
from ultralytics import YOLO
model = YOLO("yolov8n.yaml")
model.train(data=data, project=str(folder), name="run", device="cpu", verbose=False, plots=True, **params)
best = YOLO(folder / "run" / "weights" / "best.pt")
best.val(data=data, split="test", imgsz=params["imgsz"], batch=params["batch"], device="cpu", plots=True,
         project=str(folder), name="test", verbose=False)
"""


@dataclass(frozen=True)
class Case:
    """`bare` is the command of the bare run, to which its folder, the prepared tree and the params are added."""

    draw: Callable[[Path, int], None]
    images: int
    epochs: int  # these take a little over 3 minutes on two cores
    params: Mapping[str, Any]
    shortest: Mapping[str, Any]  # params of the one-epoch runs that measure the start
    bare: tuple[str, ...]
    draws: bool  # whether the bare run draws plots as the platform does


CASES: Mapping[str, Case] = {
    "yolo": Case(
        draw=lambda path, count: scenes.write_archive(path, scenes=count, seed=0),
        images=240,
        epochs=56,
        params={"imgsz": 128, "batch": 16, "seed": 0, "patience": 0},
        shortest={"imgsz": 64},
        bare=("-c", BARE),
        draws=True,
    ),
    "vit": Case(
        draw=lambda path, count: poses.write_archive(path, figures=count, seed=0),
        images=960,
        epochs=60,
        params={"model": "vit-tiny-scratch", "batch": 16, "lr": 1e-3, "crop": 0.8, "seed": 0, "patience": 0}
        | {"suspect_labels": False},  # the bare run searches for none
        shortest={"model": "vit-nano-scratch", "image_size": 32, "suspect_labels": False},
        bare=("-m", "benchmarks.bare_vit"),
        draws=False,
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainer", choices=sorted(CASES), default="yolo")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--epochs", type=int, help="default: a little over 3 minutes on two cores")
    parser.add_argument("--images", type=int, help="in the drawn dataset, all splits together")
    parser.add_argument(
        "--starts", type=int, default=10, help="one-epoch runs that measure the time from POST to child"
    )
    args = parser.parse_args()
    case = CASES[args.trainer]
    params = {**case.params, "epochs": args.epochs or case.epochs}
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as name:
        folder = Path(name)
        case.draw(folder / "images.zip", args.images or case.images)
        (folder / "home").mkdir()
        for what in ("EXPORT", "EVALUATE"):  # they would compute beside the bare training
            os.environ[f"DARKROOM_{what}_ON_PUBLISH"] = "false"
        stack = start_stack(folder / "home")
        try:
            for _ in wait_until_it_answers(stack):
                pass
            with Client(stack.api_url) as client:
                job_id, tree = _prepare(client, folder)
                starts = [_start_seconds(client, job_id, case) for _ in range(args.starts)]
                if starts:
                    _print(figure="post_to_child_seconds", **_spread(starts))
                pairs = [_pair(client, job_id, tree, folder, case, params, number) for number in range(args.pairs)]
        finally:
            stop_stack(stack)
    for figure in ("ratio", "ratio_without_report"):
        ratios = [pair[figure] for pair in pairs if figure in pair]
        if ratios:
            _print(figure=figure, trainer=args.trainer, **_spread(ratios))
    _print(figure="seconds", platform=_spread([p["platform_seconds"] for p in pairs]),
         bare=_spread([p["bare_seconds"] for p in pairs]))  # fmt: skip
    return 0


def _prepare(client: Client, folder: Path) -> tuple[str, Path]:
    """Uploads once; the bare runs train on the same prepared dataset."""
    dataset = client.datasets.upload(folder / "images.zip")
    client.datasets.download(dataset, folder / "dataset.tar")
    tree = folder / "tree"
    with tarfile.open(folder / "dataset.tar") as tar:
        tar.extractall(tree, filter="data")
    if (tree / "data.yaml").exists():
        data = (tree / "data.yaml").read_text(encoding="utf-8").replace("path: .", f"path: {tree}")
        (tree / "bare.yaml").write_text(data, encoding="utf-8")
    return dataset.job_id, tree


def _start_seconds(client: Client, job_id: str, case: Case) -> float:
    """From before the POST to the stage `loading`, which the child reports first, after the start of Python."""
    began = time.time()
    run = client.runs.train(job_id, params={**case.shortest, "epochs": 1, "pretrained": "never"})
    stages = _stages(client, run.run_id)
    client.runs.wait(run)
    return stages["loading"] - began


def _pair(
    client: Client, job_id: str, tree: Path, folder: Path, case: Case, params: dict[str, Any], number: int
) -> dict[str, float]:
    bare_folder = folder / f"bare-{number}"
    if number % 2 == 0:
        ours, stages, report = _platform(client, job_id, params)
        bare = _bare(tree, bare_folder, case, params)
    else:
        bare = _bare(tree, bare_folder, case, params)
        ours, stages, report = _platform(client, job_id, params)
    pair = {"platform_seconds": round(ours, 2), "bare_seconds": round(bare, 2), "ratio": round(ours / bare, 4)}
    if not case.draws:
        pair |= {"report_seconds": round(report, 2), "ratio_without_report": round((ours - report) / bare, 4)}
    _print(figure="pair", number=number, **pair, stages=stages)
    return pair


def _platform(client: Client, job_id: str, params: dict[str, Any]) -> tuple[float, dict[str, float], float]:
    """Seconds from POST to the end; the same by stage; and those of the evaluation beyond the inference."""
    began = time.time()
    run = client.runs.train(job_id, params={**params, "pretrained": "never", "device": "cpu"})
    ended = client.runs.wait(run)
    assert ended.finished_at
    finished = ended.finished_at.timestamp()
    marks = [*_stages(client, run.run_id).items(), ("end", finished)]
    by_stage = {name: round(after - at, 2) for (name, at), (_, after) in pairwise(marks)}
    metrics = client.models.get(f"{job_id}/v{ended.version}").metrics
    inference = sum(split["images"] * _milliseconds(split) / 1000 for split in metrics.values() if split)
    report = max(0.0, by_stage.get("evaluating", 0.0) - inference)
    return finished - began, {"waiting": round(marks[0][1] - began, 2), **by_stage}, report


def _milliseconds(split: dict[str, Any]) -> float:
    """For one image."""
    return sum(value for value in split["speed"].values() if isinstance(value, float))


def _bare(tree: Path, folder: Path, case: Case, params: dict[str, Any]) -> float:
    folder.mkdir()
    began = time.monotonic()
    data = tree / "bare.yaml" if (tree / "bare.yaml").exists() else tree
    command = [sys.executable, *case.bare, str(folder), str(data), json.dumps(params)]
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - began


def _stages(client: Client, run_id: str) -> dict[str, float]:
    """Stage -> time of its event in the run's stream."""
    stages: dict[str, float] = {}
    for event in client.runs.events(run_id):
        stage = event.data.get("stage")
        if stage:
            stages.setdefault(stage, event.at.timestamp())
    return stages


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 4),
        "min": round(min(values), 4),
        "max": round(max(values), 4),
        "runs": len(values),
    }


def _print(**fields: Any) -> None:
    print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    sys.exit(main())
