"""The load of `benchmarks.predict`: `wrk` that posts JPEGs, the bare predictor, and answers compared with it."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from threading import Thread
from time import perf_counter, process_time
from typing import Any

import httpx
import numpy as np
import psutil

from benchmarks.predict_servers import Running
from pipeline.dataset.predictions import PredictedBox
from pipeline.export.bounds import Bounds
from pipeline.export.comparison import agreement_of_boxes
from pipeline.predictor.predictor import ExportPredictor, Prediction

# `done` prints one JSON object. wrk counts a status of 400 and above as an error.
SCRIPT = """
local bodies = {}
for _, path in ipairs({%s}) do
  local file = io.open(path, "rb")
  bodies[#bodies + 1] = file:read("*a")
  file:close()
end
local number = 0
request = function()
  number = number + 1
  return wrk.format("POST", nil, {["Content-Type"] = "image/jpeg"}, bodies[number %% #bodies + 1])
end
done = function(summary, latency, requests)
  local e = summary.errors
  local line = '\\n{"requests": %%d, "microseconds": %%d, "p50": %%d, "p99": %%d, "most": %%d, "failed": %%d}\\n'
  io.write(string.format(line, summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), latency.max,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """Milliseconds, but `per_second`."""

    per_second: float
    p50: float
    p99: float
    longest: float
    failed: int = 0
    cpu: float = 0.0  # of all processes of the server, a request; it hardly depends on what else runs


def load(running: Running, images: Sequence[Path], *, clients: int, seconds: float) -> Figures:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT % ", ".join(json.dumps(str(path)) for path in images))
        script.flush()
        before = _cpu_seconds(running.pid)
        command = ["wrk", "-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s", "--timeout", "30s", "-s", script.name]
        output = subprocess.run(
            [*command, running.url], check=True, capture_output=True, text=True, timeout=seconds + 90
        ).stdout
        spent = 1e3 * (_cpu_seconds(running.pid) - before)
    found = json.loads(output.strip().splitlines()[-1])
    per_second = 1e6 * found["requests"] / found["microseconds"]
    p50, p99, most = (found[name] / 1e3 for name in ("p50", "p99", "most"))
    return Figures(per_second, p50, p99, most, found["failed"], spent / max(1, found["requests"]))


def _cpu_seconds(pid: int) -> float:
    process = psutil.Process(pid)
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return float(sum(each.user + each.system for each in times))


def bare(predictors: Sequence[ExportPredictor], images: Sequence[bytes], *, seconds: float) -> Figures:
    """JPEG to boxes without a server, in as many threads as there are predictors."""
    times: list[list[float]] = [[] for _ in predictors]
    ends = perf_counter() + seconds

    def run(predictor: ExportPredictor, own: list[float]) -> None:
        for content in cycle(images):
            started = perf_counter()
            predictor.predict([content])
            own.append(1e3 * (perf_counter() - started))
            if perf_counter() > ends:
                return

    began, spent = perf_counter(), process_time()
    threads = [Thread(target=run, args=each) for each in zip(predictors, times, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together = np.concatenate([np.asarray(each) for each in times])
    p50, p99 = np.quantile(together, (0.5, 0.99)).tolist()
    cpu = 1e3 * (process_time() - spent) / len(together)
    return Figures(len(together) / (perf_counter() - began), p50, p99, float(together.max()), cpu=cpu)


def share_of_equal(
    running: Running, wanted: ExportPredictor, images: Sequence[bytes], bounds: Bounds
) -> tuple[float, int]:
    """Of the boxes that the bare predictor finds, the share that the server answers within the bounds; how many."""
    compared = equal = 0
    with httpx.Client(trust_env=False, timeout=60) as client:
        for content in images:
            answer = client.post(running.url, content=content, headers={"content-type": "image/jpeg"})
            answer.raise_for_status()
            (result,) = wanted.predict([content])
            assert isinstance(result, Prediction)
            one = agreement_of_boxes(result.boxes, _boxes(answer.json()), bounds, thresholds=wanted.thresholds)
            compared, equal = compared + one.compared, equal + one.equal
    return equal / compared if compared else 0.0, compared


def _boxes(answer: dict[str, Any]) -> list[PredictedBox]:
    found = answer["images"][0]["boxes"] if "images" in answer else answer["boxes"]
    names = ("label", "class_index", "score", "x1", "y1", "x2", "y2")
    return [PredictedBox(**{name: box[name] for name in names}) for box in found]
