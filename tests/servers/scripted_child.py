"""A child that keeps the contract of `python -m pipeline train` and only pretends to train: 0.15 s an epoch, no torch.

Params: `seed` 13 ignores a polite cancel; 14 kills itself at its second epoch, every time; 15 writes 1 MB of weights
without a model.json; 16 meets a full disk at its third epoch, in its first attempt.
"""

import errno
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from pipeline.process.child import Channel, run_child
from pipeline.training.checkpoint import read_checkpoint, write_checkpoint

EPOCH_SECONDS = 0.15


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


def _pass_time(channel: Channel, *, ignore: bool) -> None:
    if ignore:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(EPOCH_SECONDS)
    if not ignore:
        channel.raise_if_cancelled()


if __name__ == "__main__":
    content = json.loads(Path(sys.argv[sys.argv.index("--config") + 1]).read_text())
    sys.exit(run_child(Path(content["out"]), lambda channel: train(content, channel), supervised=True))
