"""Real training children on small, drawn trees."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from tests import REPOSITORY
from tests.builders.warm_children import WarmChild, start_warm
from tests.waiting import wait_until

CLASSES = ("box", "disc")

# Records every attempt at network access, of the child and of its own children: an audit hook also catches attempts
# whose errors a library suppresses.
NETWORK_GUARD = """
import os, sys

def _note(text):
    with open(os.environ["NETWORK_LOG"], "a") as log:
        log.write(text + "\\n")

def _watch(event, args):
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        _note(f"{event} {args!r}")
    elif event in ("socket.connect", "socket.sendto") and isinstance(args[1], tuple):  # a str is a Unix socket
        _note(f"{event} {args[1]!r}")

sys.addaudithook(_watch)
_note("watching")
"""


def draw_tree(root: Path, *, train: int = 24, val: int = 8, test: int = 6, side: int = 64, seed: int = 0) -> Path:
    """A prepared YOLO tree of light boxes and discs on dark ground."""
    rng = random.Random(seed)
    for split, count in (("train", train), ("val", val), ("test", test)):
        images, labels = root / "images" / split, root / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for index in range(count):
            _draw_scene(images / f"{index:03d}.png", labels / f"{index:03d}.txt", side=side, rng=rng)
    names = "\n".join(f"  {index}: {name}" for index, name in enumerate(CLASSES))
    splits = "train: images/train\nval: images/val\ntest: images/test\n"
    (root / "data.yaml").write_text(f"path: .\n{splits}names:\n{names}\n")
    return root


def _draw_scene(image_path: Path, label: Path, *, side: int, rng: random.Random) -> None:
    scene = Image.new("RGB", (side, side), (rng.randrange(40), rng.randrange(40), rng.randrange(40)))
    pen = ImageDraw.Draw(scene)
    rows = []
    for _ in range(rng.randint(1, 2)):
        wide = rng.randint(side // 4, side // 2)
        x, y, kind = rng.randint(0, side - wide), rng.randint(0, side - wide), rng.randrange(2)
        shade = (rng.randrange(150, 256), rng.randrange(150, 256), rng.randrange(150, 256))
        (pen.ellipse if kind else pen.rectangle)((x, y, x + wide, y + wide), fill=shade)
        middle = [(x + wide / 2) / side, (y + wide / 2) / side, wide / side, wide / side]
        rows.append(f"{kind} " + " ".join(f"{value:.6f}" for value in middle))
    scene.save(image_path)
    label.write_text("\n".join(rows) + "\n")


@dataclass
class Child:
    """A running `python -m pipeline train --supervised`, as a worker starts it."""

    process: "subprocess.Popen[bytes] | WarmChild"
    out: Path

    def send(self, command: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{command}\n".encode())
        self.process.stdin.flush()

    def lines(self, kind: str) -> list[dict[str, Any]]:
        path = self.out / "progress.jsonl"
        whole = path.read_text().rpartition("\n")[0].splitlines() if path.exists() else []
        return [line for line in map(json.loads, whole) if line["type"] == kind]

    def wait_for(self, reached: Callable[["Child"], Any], seconds: float = 90) -> None:
        def reached_while_it_runs() -> Any:
            assert self.process.poll() is None, f"exited with {self.process.returncode}: {self.log()[-3000:]}"
            return reached(self)

        wait_until(reached_while_it_runs, seconds=seconds, what=lambda: self.log()[-3000:])

    def end(self, seconds: float = 90) -> int:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        finally:
            self.close_stdin()

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        self.close_stdin()

    def close_stdin(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()

    def log(self) -> str:
        return (self.out / "log").read_text()

    def problem(self) -> dict[str, Any]:
        problem: dict[str, Any] = json.loads((self.out / "problem.json").read_text())
        return problem

    def artifact(self, name: str) -> Any:
        return json.loads((self.out / "artifacts" / name).read_text())


def start_training(out: Path, tree: Path, *, trainer: str = "yolo", guard: Path | None = None, **spec: Any) -> Child:
    """`spec`: the other members of spec.json. `guard`: a file for every attempt to reach the network: then it is a new
    interpreter, else a fork of one that has imported the libraries."""
    out.mkdir(parents=True, exist_ok=True)
    content = {"trainer": trainer, "dataset": str(tree), "out": str(out), **spec}
    (out / "spec.json").write_text(json.dumps(content, default=str))
    argv = ["train", "--config", str(out / "spec.json"), "--supervised"]
    if guard is None:
        return Child(start_warm(trainer, argv, cwd=out, log=out / "log"), out)
    with (out / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", *argv],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=out,
            env=watched_environment(out / "guard", guard),
            start_new_session=True,
        )
    return Child(process, out)


def watched_environment(folder: Path, log: Path) -> dict[str, str]:
    """For an interpreter that writes its attempts to reach the network to `log`. `folder`: a new one."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(NETWORK_GUARD)
    return {**os.environ, "NETWORK_LOG": str(log), "PYTHONPATH": f"{folder}{os.pathsep}{REPOSITORY}"}
