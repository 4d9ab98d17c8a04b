"""From the bytes of a JPEG to a JSON value, as the peers' servers do it: by Darkroom's predictor, or by their own code.

Their own is the shortest path that was found: simplejpeg, OpenCV, onnxruntime or OpenVINO in single precision, numpy.
"""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Boxes = list[dict[str, Any]]
Predict = Callable[[Sequence[bytes]], list[Boxes]]


def from_environment() -> Predict:
    """PEER_FILE, PEER_PATH (`darkroom` or `own`), PEER_ENGINE_THREADS, and PEER_ENGINE: `onnxruntime`, `openvino`, or
    `openvino, its default precision`."""
    file, engine = Path(os.environ["PEER_FILE"]), os.environ["PEER_ENGINE"]
    threads = int(os.environ["PEER_ENGINE_THREADS"])
    if os.environ["PEER_PATH"] == "own":
        return OwnPath(file, engine=engine, threads=threads, about=json.loads(os.environ["PEER_ABOUT"]))
    return _darkroom(file, engine=engine, threads=threads)


def _darkroom(file: Path, *, engine: str, threads: int) -> Predict:
    from pipeline.predictor.engines import open_engine
    from pipeline.predictor.predictor import ExportPredictor, PredictionFailed

    predictor = ExportPredictor(file, engine=open_engine(file, threads=threads, name=engine))

    def predict(images: Sequence[bytes]) -> list[Boxes]:
        results = predictor.predict(images)
        return [[] if isinstance(each, PredictionFailed) else [_as_json(box) for box in each.boxes] for each in results]

    return predict


def _as_json(box: Any) -> dict[str, Any]:
    corners = {"x1": box.x1, "y1": box.y1, "x2": box.x2, "y2": box.y2}
    return {"label": box.label, "class_index": box.class_index, "score": box.score, **corners}


class OwnPath:
    """For a yolov8 of ultralytics: letterboxed input of RGB values from 0 to 1, suppression in each class.

    `about`: side, classes, thresholds, iou.
    """

    def __init__(self, file: Path, *, engine: str, threads: int, about: dict[str, Any]) -> None:
        self._about = about
        self._thresholds = about["thresholds"]
        self._run = _openvino(file, threads, engine) if engine.startswith("openvino") else _onnxruntime(file, threads)

    def __call__(self, images: Sequence[bytes]) -> list[Boxes]:
        import numpy as np

        prepared = [self._prepared(content) for content in images]
        raw = self._run(np.concatenate([values for values, _ in prepared]))
        return [self._boxes(rows, place) for rows, (_, place) in zip(raw, prepared, strict=True)]

    def _prepared(self, content: bytes) -> tuple[Any, tuple[float, int, int, int, int]]:
        import cv2
        import simplejpeg

        pixels = simplejpeg.decode_jpeg(content)
        height, width = pixels.shape[:2]
        ratio = self._about["side"] / max(height, width)
        size = round(width * ratio), round(height * ratio)
        spare_x, spare_y = -size[0] % 32, -size[1] % 32
        left, top = round(spare_x / 2 - 0.1), round(spare_y / 2 - 0.1)
        resized = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)
        padded = cv2.copyMakeBorder(
            resized, top, spare_y - top, left, spare_x - left, cv2.BORDER_CONSTANT, value=(114, 114, 114)
        )
        return cv2.dnn.blobFromImage(padded, 1 / 255), (ratio, left, top, width, height)

    def _boxes(self, rows: Any, place: tuple[float, int, int, int, int]) -> Boxes:
        import cv2
        import numpy as np

        ratio, left, top, width, height = place
        rows = rows.T
        rows = rows[rows[:, 4:].max(1) > min(self._thresholds)]
        classes, scores = rows[:, 4:].argmax(1), rows[:, 4:].max(1)
        corners = np.hstack((rows[:, :2] - rows[:, 2:4] / 2, rows[:, 2:4]))
        kept = cv2.dnn.NMSBoxesBatched(
            corners.tolist(), scores.tolist(), classes.tolist(), min(self._thresholds), self._about["iou"]
        )
        found = []
        for index in kept:
            x, y, wide, high = corners[index]
            if scores[index] <= self._thresholds[classes[index]]:
                continue
            x1, y1 = (x - left) / ratio, (y - top) / ratio
            x2, y2 = x1 + wide / ratio, y1 + high / ratio
            found.append(
                {
                    "label": self._about["classes"][classes[index]],
                    "class_index": int(classes[index]),
                    "score": float(scores[index]),
                    "x1": float(min(max(x1, 0), width)),
                    "y1": float(min(max(y1, 0), height)),
                    "x2": float(min(max(x2, 0), width)),
                    "y2": float(min(max(y2, 0), height)),
                }
            )
        return found


def _onnxruntime(file: Path, threads: int) -> Callable[[Any], Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda batch: session.run(None, {name: batch})[0]


def _openvino(file: Path, threads: int, engine: str) -> Callable[[Any], Any]:
    """In single precision unless `engine` says otherwise: the default is bfloat16 where the processor has it."""
    import threading

    import openvino

    # Pinned, two workers compute on one core.
    hints: dict[str, Any] = {"ENABLE_CPU_PINNING": False, "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    if engine == "openvino":
        hints["INFERENCE_PRECISION_HINT"] = "f32"
    compiled = openvino.Core().compile_model(str(file), "CPU", hints)
    own = threading.local()

    def run(batch: Any) -> Any:
        if not hasattr(own, "request"):
            own.request = compiled.create_infer_request()
        return own.request.infer({0: batch}, share_inputs=True)[0]

    return run
