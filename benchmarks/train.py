"""What the platform adds to a training: `python -m benchmarks.train [--pairs 5] [--epochs 40]`.

Two figures, as JSON lines:
- the time from the bell to the published version, over that of the same training by ultralytics alone, in pairs one
  after the other (ours, bare, bare, ours, ...). Bare means one process: train, evaluate best.pt on val and on test with
  plots. What the platform does besides (fetch, store, publish) is in the ratio, and told apart;
- the time from POST /train-async to the start of the child process, with a warm worker.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from deploy.local.client import Client
from deploy.local.private_stack import start_stack, stop_stack, wait_until_it_answers
from deploy.local.scenes import write_archive

RUN_ENDED = frozenset({"succeeded", "failed", "cancelled"})
JOB_ENDED = frozenset({"ready", "rejected", "failed"})

# Bare: what a person would write. The environment (offline, fonts, settings) is prepared as for our child.
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=56, help="56 take somewhat over 3 minutes on two cores")
    parser.add_argument("--scenes", type=int, default=240)
    parser.add_argument("--imgsz", type=int, default=128)
    parser.add_argument("--starts", type=int, default=10, help="runs of one epoch that time POST to child")
    args = parser.parse_args()
    params = {"epochs": args.epochs, "imgsz": args.imgsz, "batch": 16, "seed": 0, "patience": 0}
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as name:
        folder = Path(name)
        write_archive(folder / "scenes.zip", scenes=args.scenes, seed=0)
        (folder / "home").mkdir()
        stack = start_stack(folder / "home")
        try:
            for _ in wait_until_it_answers(stack):
                pass
            with Client(stack.api_url) as client:
                job_id, tree = _prepare(client, folder)
                starts = [_start_seconds(client, job_id) for _ in range(args.starts)]
                _say(figure="post_to_child_seconds", **_spread(starts))
                pairs = [_pair(client, job_id, tree, folder, params, number) for number in range(args.pairs)]
        finally:
            stop_stack(stack)
    ratios = [pair["ours_seconds"] / pair["bare_seconds"] for pair in pairs]
    _say(figure="ratio", **_spread(ratios), ours=_spread([p["ours_seconds"] for p in pairs]),
         bare=_spread([p["bare_seconds"] for p in pairs]))  # fmt: skip
    return 0


def _prepare(client: Client, folder: Path) -> tuple[str, Path]:
    """Upload once; the bare runs train on the very same prepared set."""
    job = client.upload(folder / "scenes.zip", on_bytes=lambda _: None)
    ended = list(client.follow(f"/jobs/{job['job_id']}", ended=JOB_ENDED))[-1]
    assert ended["state"] == "ready", ended
    client.download(f"/dataset/download/{job['job_id']}", folder / "dataset.tar")
    tree = folder / "tree"
    with tarfile.open(folder / "dataset.tar") as tar:
        tar.extractall(tree, filter="data")
    data = (tree / "data.yaml").read_text(encoding="utf-8").replace("path: .", f"path: {tree}")
    (tree / "bare.yaml").write_text(data, encoding="utf-8")
    return str(job["job_id"]), tree


def _start_seconds(client: Client, job_id: str) -> float:
    """From before the POST to the event in which the child says `loading`: its first line, after Python's own start."""
    began = time.time()
    run = client.post(f"/train-async/{job_id}", {"params": {"epochs": 1, "imgsz": 64, "pretrained": "never"}})
    stages = _stages(client, run["run_id"])
    list(client.follow(f"/runs/{run['run_id']}", ended=RUN_ENDED))
    return stages["loading"] - began


def _pair(
    client: Client, job_id: str, tree: Path, folder: Path, params: dict[str, Any], number: int
) -> dict[str, float]:
    if number % 2 == 0:
        ours, apart = _ours(client, job_id, params)
        bare = _bare(tree, folder / f"bare-{number}", params)
    else:
        bare = _bare(tree, folder / f"bare-{number}", params)
        ours, apart = _ours(client, job_id, params)
    pair = {"ours_seconds": round(ours, 2), "bare_seconds": round(bare, 2)}
    _say(figure="pair", number=number, **pair, ratio=round(ours / bare, 4), ours_apart=apart)
    return pair


def _ours(client: Client, job_id: str, params: dict[str, Any]) -> tuple[float, dict[str, float]]:
    began = time.time()
    run = client.post(f"/train-async/{job_id}", {"params": {**params, "pretrained": "never", "device": "cpu"}})
    ended = list(client.follow(f"/runs/{run['run_id']}", ended=RUN_ENDED))[-1]
    assert ended["state"] == "succeeded", ended
    finished = datetime.fromisoformat(ended["finished_at"]).timestamp()
    marks = [*_stages(client, run["run_id"]).items(), ("end", finished)]
    apart = {name: round(after - at, 2) for (name, at), (_, after) in pairwise(marks)}
    return finished - began, {"waiting": round(marks[0][1] - began, 2), **apart}


def _bare(tree: Path, folder: Path, params: dict[str, Any]) -> float:
    folder.mkdir()
    began = time.monotonic()
    command = [sys.executable, "-c", BARE, str(folder), str(tree / "bare.yaml"), json.dumps(params)]
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - began


def _stages(client: Client, run_id: str) -> dict[str, float]:
    """Stage -> when it was told, out of the run's events; follows the stream until `loading` is there."""
    stages: dict[str, float] = {}
    for event in client.events(f"/runs/{run_id}/events"):
        stage = event["data"].get("stage")
        if stage:
            stages.setdefault(stage, datetime.fromisoformat(event["at"]).timestamp())
    return stages


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 4),
        "min": round(min(values), 4),
        "max": round(max(values), 4),
        "runs": len(values),
    }


def _say(**fields: Any) -> None:
    print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    sys.exit(main())
