"""Small models made on the spot that answer rightly without a training, by the colours of an image.

Scenes have squares of red, green or blue on grey; the detector finds them, the classifier names the colour of the left
half. Each depends on all that an export may break: channels, values, aspect ratio, orientation, order of classes.
"""

import io
import random
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps
from torch import nn
from torchvision.ops import nms

from pipeline.dataset.predictions import PredictedBox, PredictedLabel
from pipeline.export.held_out import HeldOutImage
from pipeline.predictor.metadata import ExportMetadata, Output, Preprocessing
from pipeline.predictor.onnx_file import describe_onnx

CLASSES = ("red", "green", "blue")
COLOURS = ((230, 20, 20), (20, 230, 20), (20, 20, 230))
SIDE, CELL, SQUARE = 128, 8, 24  # px: the input, a cell of it, a square in an image whose longer side is SIDE
_ROTATED = 6


class GridDetector(nn.Module):  # type: ignore[misc]
    """(B, 3, H, W), 0 to 1 -> (B, 4 + 3, N): a box of SQUARE px at each cell whose surroundings have one colour."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        means = nn.functional.avg_pool2d(pixels, CELL)
        means = nn.functional.avg_pool2d(means, 3, stride=1, padding=1, count_include_pad=False)
        others = torch.stack([(means.sum(1) - means[:, index]) / 2 for index in range(3)], dim=1)
        scores = torch.sigmoid(24 * (means - others - 0.55)).flatten(2)
        ones = torch.ones_like(means[:, 0])
        columns = (ones.cumsum(2) - 0.5) * CELL
        rows = (ones.cumsum(1) - 0.5) * CELL
        boxes = torch.stack((columns, rows, ones * SQUARE, ones * SQUARE), dim=1).flatten(2)
        return torch.cat((boxes, scores), dim=1)


class HalfClassifier(nn.Module):  # type: ignore[misc]
    """(B, 3, H, W), normalised with MEAN and STD -> (B, 3): the mean of each channel over the left half."""

    MEAN, STD = (0.5, 0.4, 0.3), (0.3, 0.2, 0.25)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        std = torch.tensor(self.STD).reshape(1, 3, 1, 1)
        mean = torch.tensor(self.MEAN).reshape(1, 3, 1, 1)
        left = (pixels * std + mean)[..., : pixels.shape[3] // 2]
        return 4 * left.mean(dim=(2, 3))


class DetectorModel:
    """The reference: OpenCV, torch and torchvision, nothing of the predictor. See pipeline.trainers.Predictor."""

    classes = CLASSES
    thresholds = (0.25, 0.5, 0.4)

    def predict(self, image: Path, *, min_score: float | None = None) -> list[PredictedBox]:
        least = np.array(self.thresholds if min_score is None else [min_score] * len(CLASSES), np.float32)
        read = cv2.imread(str(image))  # BGR, upright
        height, width = read.shape[:2]
        ratio = min(SIDE / height, SIDE / width)
        size = round(width * ratio), round(height * ratio)
        spare = (SIDE - size[0]) % 32, (SIDE - size[1]) % 32
        left, top = (round(each / 2 - 0.1) for each in spare)
        resized = cv2.resize(read, size, interpolation=cv2.INTER_LINEAR)
        padded = cv2.copyMakeBorder(resized, top, spare[1] - top, left, spare[0] - left, 0, value=(114, 114, 114))
        values = torch.from_numpy(np.ascontiguousarray(padded[..., ::-1].transpose(2, 0, 1))).float()[None] / 255
        rows = GridDetector()(values)[0].T
        scores, index = rows[:, 4:].max(1)
        kept = scores > torch.from_numpy(least)[index]
        centre, sides, scores, index = rows[kept, :2], rows[kept, 2:4], scores[kept], index[kept]
        corners = torch.cat((centre - sides / 2, centre + sides / 2), 1)
        order = nms(corners + index[:, None] * 7680, scores, 0.7)[:300]
        corners = (corners[order] - torch.tensor([left, top, left, top])) / ratio
        corners = torch.minimum(corners.clamp_min(0), torch.tensor([width, height, width, height]))
        found = zip(index[order].tolist(), scores[order].tolist(), corners.tolist(), strict=True)
        return [PredictedBox(CLASSES[each], each, score, *box) for each, score, box in found]

    def raw(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(GridDetector()(torch.from_numpy(batch)).numpy())


class ClassifierModel:
    """As above, by Pillow and torch."""

    classes = CLASSES
    thresholds = (0.6, 0.0, 0.7)

    def predict(self, image: Path, *, min_score: float | None = None) -> list[PredictedLabel]:
        least = self.thresholds if min_score is None else (min_score,) * len(CLASSES)
        with Image.open(image) as opened:
            upright = ImageOps.exif_transpose(opened).convert("RGB").resize((32, 32), Image.Resampling.BILINEAR)
        values = (np.asarray(upright, np.float32) / 255 - HalfClassifier.MEAN) / HalfClassifier.STD
        scores = torch.softmax(torch.from_numpy(self.raw(values.transpose(2, 0, 1)[None].astype(np.float32))), 1)[0]
        best = scores.argsort(descending=True).tolist()
        labels = [PredictedLabel(CLASSES[i], i, float(scores[i]), least[i]) for i in best]
        return [label for label in labels if min_score is None or label.score >= min_score]

    def raw(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(HalfClassifier()(torch.from_numpy(batch)).numpy())


MODELS: dict[str, Any] = {"detection": DetectorModel, "classification": ClassifierModel}


def export_of(kind: str, target: Path, **changes: Any) -> Path:
    """Writes the ONNX of the model of this kind. `changes`: of its preprocessing."""
    if kind == "detection":
        network: nn.Module = GridDetector()
        example, axes = torch.zeros(1, 3, SIDE, SIDE), {0: "batch", 2: "height", 3: "width"}
        wanted: dict[str, Any] = {
            "width": SIDE,
            "height": SIDE,
            "fit": "letterbox",
            "interpolation": "linear",
            "stride": 32,
        }
    else:
        network = HalfClassifier()
        example, axes = torch.zeros(1, 3, 32, 32), {0: "batch"}
        wanted = {"width": 32, "height": 32, "fit": "stretch", "interpolation": "bilinear"}
        wanted |= {"mean": HalfClassifier.MEAN, "std": HalfClassifier.STD}
    names: dict[str, Any] = {"input_names": ["pixels"], "output_names": ["output"], "dynamic_axes": {"pixels": axes}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter by tracing is quicker, and is deprecated
        torch.onnx.export(network, (example,), str(target), dynamo=False, opset_version=18, **names)
    output = Output("anchors" if kind == "detection" else "logits", thresholds=MODELS[kind].thresholds)
    describe_onnx(target, ExportMetadata(kind, CLASSES, Preprocessing(**(wanted | changes)), output, {}))  # type: ignore[arg-type]
    return target


def draw_scenes(folder: Path, count: int = 24, *, seed: int = 0) -> list[HeldOutImage]:
    """JPEGs of several sizes and aspect ratios, a third of them rotated by EXIF, with the truth about both models."""
    rng = random.Random(seed)
    scenes = []
    for index in range(count):
        size = rng.choice([(128, 96), (256, 160), (96, 128), (128, 128)])
        square = SQUARE * max(size) // SIDE
        image = Image.new("RGB", size, (128, 128, 128))
        draw = ImageDraw.Draw(image)
        label = rng.randrange(3)
        boxes = []
        for column, colour in ((0, label), (1, rng.randrange(3))):
            x = rng.randrange(0, size[0] // 2 - square + 1) + column * (size[0] // 2)
            y = rng.randrange(0, size[1] - square + 1)
            draw.rectangle((x, y, x + square - 1, y + square - 1), fill=COLOURS[colour])
            boxes.append([colour, x, y, x + square, y + square])
        file = folder / f"{index:03d}.jpg"
        file.write_bytes(_encoded(image, rotated=index % 3 == 0))
        scenes.append(HeldOutImage(file, np.array(boxes, float), label))
    return scenes


def _encoded(upright: Image.Image, *, rotated: bool) -> bytes:
    """Rotated: stored on its side, with the orientation that says so."""
    buffer, exif = io.BytesIO(), Image.Exif()
    if rotated:
        exif[0x0112] = _ROTATED
        upright = upright.transpose(Image.Transpose.ROTATE_90)
    upright.save(buffer, "JPEG", quality=95, exif=exif)
    return buffer.getvalue()
