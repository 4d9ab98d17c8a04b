"""A child that keeps the contract of `python -m pipeline train` and only pretends to train: 0.15 s an epoch, no torch.

Params: `seed` 13 ignores a polite cancel; 14 kills itself at its second epoch, every time; 15 writes 1 MB of weights
without a model.json; 16 meets a full disk at its third epoch, in its first attempt.

`scripted` does the same for an operation: 0.1 s a step. `ending`: `deaf` ignores a polite cancel, `killed` kills itself
at its second step, every time, `failed` reports a failure, `crashed` raises, `full` is refused memory.

`export-version` takes 1 s and writes the weights as the export; `evaluate-version` takes 1 s and keeps its spec as an
artifact. `index` writes an empty image index at once.
"""

import errno
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from core.domain.errors import WeightsUnavailable
from core.domain.limits import CLASSES_LISTED
from pipeline.index.schema import INDEX_FILE
from pipeline.index.write import write_index
from pipeline.process.child import Channel, run_child
from pipeline.process.results import RESULT_FILE, Evaluated, Exported, IndexedSet, write_last, write_result
from pipeline.training.checkpoint import read_checkpoint, write_checkpoint

EPOCH_SECONDS = 0.15
STEP_SECONDS = 0.1


def train(spec: dict[str, Any], channel: Channel) -> None:
    out, epochs, seed = Path(spec["out"]), spec["params"]["epochs"], spec["params"].get("seed")
    assert (Path(spec["dataset"]) / "data.yaml").exists()
    done = read_checkpoint(Path(spec["resume"])).epoch if spec["resume"] else 0
    channel.stage("training")
    for epoch in range(done + 1, epochs + 1):
        _pass_time(channel, ignore=seed == 13)
        if seed == 16 and epoch == 3 and spec["attempt"] == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if seed == 14 and epoch == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        metrics = {"mAP50": epoch / epochs}
        channel.emit(
            "epoch", epoch=epoch, epochs=epochs, metrics=metrics, seconds_left=(epochs - epoch) * EPOCH_SECONDS
        )
        (out / "last.pt").write_text(f"epoch {epoch}")
        name = f"checkpoints/{epoch:06d}"
        write_checkpoint(out / name, {"last.pt": out / "last.pt"}, epoch=epoch, ended=None)
        channel.emit("checkpoint", epoch=epoch, path=name)
        if channel.stopping.is_set():
            break
    channel.stage("evaluating")
    _pass_time(channel, ignore=seed == 13)
    channel.stage("packing")
    artifacts = out / "artifacts"
    artifacts.mkdir()
    (artifacts / "best.pt").write_text(f"weights of attempt {spec['attempt']}")
    (artifacts / "metrics.json").write_text(json.dumps({"val": {"mAP50": 1.0}, "test": {"mAP50": 0.5}}))
    (artifacts / "curve.png").write_bytes(b"\x89PNG")
    if seed != 15:
        (artifacts / "model.json").write_text(json.dumps({"weights": {"name": "best.pt"}}))


def operate(spec: dict[str, Any], channel: Channel) -> None:
    steps, ending = spec["steps"], spec["ending"]
    channel.stage("reading")
    for step in range(1, steps + 1):
        _pass_time(channel, ignore=ending == "deaf", seconds=STEP_SECONDS)
        if ending == "killed" and step == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        channel.emit("progress", done=step, total=steps)
    if ending == "failed":
        raise WeightsUnavailable("scripted")
    if ending == "crashed":
        raise ValueError("scripted")
    if ending == "full":
        raise MemoryError
    result = {"steps": steps, "attempt": spec["attempt"]}
    write_last(Path(spec["out"]) / RESULT_FILE, json.dumps(result))


def export(spec: dict[str, Any], channel: Channel) -> None:
    out, steps = Path(spec["out"]), 10
    assert spec["dataset"] is None or (Path(spec["dataset"]) / "data.yaml").exists()
    channel.stage("certifying")
    for step in range(1, steps + 1):
        _pass_time(channel, ignore=False, seconds=STEP_SECONDS)
        channel.emit("progress", done=step, total=steps)
    (out / "export").mkdir()
    (out / "export" / "model.onnx").write_bytes((Path(spec["model"]) / "best.pt").read_bytes())
    (out / "certificate.json").write_text(json.dumps({"passed": True, "reasons": [], "drop": float("nan")}))
    media_type = "application/octet-stream"
    write_result(out, Exported(file_name="model.onnx", media_type=media_type, passed=True))


def evaluate(spec: dict[str, Any], channel: Channel) -> None:
    artifacts, steps = Path(spec["out"]) / "artifacts", 10
    assert (Path(spec["dataset"]) / "data.yaml").exists()
    channel.stage("predicting")
    for step in range(1, steps + 1):
        _pass_time(channel, ignore=False, seconds=STEP_SECONDS)
        channel.emit("progress", done=step, total=steps)
    artifacts.mkdir()
    found = sorted(path.name for path in Path(spec["model"]).iterdir())
    sizes = [Path(path).stat().st_size for path in filter(None, (spec["index"], *spec["trained_on"]))]
    (artifacts / "spec.json").write_text(json.dumps(spec | {"found": found, "sizes": sizes}))
    many = [f"class {number}" for number in range(CLASSES_LISTED + 1)]
    classes = {"compared": many, "missing": [], "counts": {"compared": len(many), "missing": 0}}
    thresholds = {"all": 0.25, "classes": dict.fromkeys(many, 0.25)}
    metrics = {"mAP50": 0.5, "f1": float("nan"), "images": 1, "classes": classes, "thresholds": thresholds}
    write_result(Path(spec["out"]), Evaluated(metrics=metrics))


def index(spec: dict[str, Any], _channel: Channel) -> None:
    write_index([], Path(spec["out"]) / INDEX_FILE)
    write_result(Path(spec["out"]), IndexedSet(images=0))


def _pass_time(channel: Channel, *, ignore: bool, seconds: float = EPOCH_SECONDS) -> None:
    if ignore:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(seconds)
    if not ignore:
        channel.raise_if_cancelled()


def main(argv: list[str]) -> int:
    content = json.loads(Path(argv[argv.index("--config") + 1]).read_text())
    made = {"export-version": export, "evaluate-version": evaluate, "index": index}
    command = {"train": train, "scripted": operate, **made}[argv[0]]
    return run_child(Path(content["out"]), lambda channel: command(content, channel), supervised=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
