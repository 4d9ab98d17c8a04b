"""`python -m pipeline.predictor.process FILE [--threads N]`: a predictor in a process of its own, asked line by line.

Request and answer are one JSON object a line. `{"image": path, "min_score": 0.25}` answers the prediction, or
`{"error": reason}`; `{"input": path}` writes the model's input for that image beside it and answers `{"values": path}`;
`{"raw": path}` runs the model on an array of inputs and answers `{"output": path}` (.npy files). The first line that it
writes describes it. It ends with its input.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from pipeline.predictor.predictor import ExportPredictor, PredictionFailed

FRAMEWORKS = ("torch", "ultralytics", "transformers")  # none of them is imported here


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m pipeline.predictor.process")
    parser.add_argument("file", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    answers, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no answer
    serve(ExportPredictor(args.file, threads=args.threads), sys.stdin, answers)
    return 0


def serve(predictor: ExportPredictor, requests: TextIO, answers: TextIO) -> None:
    """Answers until the requests end."""
    loaded = [name for name in FRAMEWORKS if name in sys.modules]
    about: dict[str, Any] = {"engine": predictor.engine, "precision": predictor.precision, "frameworks": loaded}
    about |= {"classes": predictor.metadata.classes, "thresholds": predictor.thresholds}
    about |= {"output": asdict(predictor.metadata.output)}
    _answer(answers, about)
    for line in requests:
        try:
            _answer(answers, _answered(predictor, json.loads(line)))
        except Exception as error:  # noqa: BLE001 - one request must not end the others
            _answer(answers, {"error": " ".join(str(error).split())[:500] or type(error).__name__})


def _answered(predictor: ExportPredictor, request: Mapping[str, Any]) -> dict[str, Any]:
    if "raw" in request:
        output = Path(request["raw"]).with_suffix(".output.npy")
        np.save(output, predictor.raw(np.load(request["raw"])))
        return {"output": str(output)}
    if "input" in request:
        image = Path(request["input"])
        values = Path(request["to"])
        np.save(values, predictor.prepare(image.read_bytes()).values)
        return {"values": str(values)}
    content = Path(request["image"]).read_bytes()
    result = predictor.predict([content], min_score=request.get("min_score"))[0]
    return {"error": result.reason} if isinstance(result, PredictionFailed) else asdict(result)


def _answer(answers: TextIO, content: Mapping[str, Any]) -> None:
    answers.write(json.dumps(content) + "\n")
    answers.flush()


if __name__ == "__main__":
    sys.exit(main())
