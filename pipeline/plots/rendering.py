"""One image for a person: upright, reduced, with its boxes where wanted."""

import io
from collections.abc import Sequence

from PIL import Image

from pipeline.dataset.predictions import PredictedBox
from pipeline.decode.image import open_upright
from pipeline.plots.boxes import draw_boxes, scaled
from pipeline.plots.fonts import face_of
from pipeline.process.render_task import RenderedBox, RenderTask

_QUALITY = 85


def render(content: bytes, task: RenderTask) -> bytes:
    """A JPEG. Raises whatever a decoder raises for hostile bytes."""
    factor = min(1.0, task.size / max(task.width, task.height))
    size = (max(1, round(task.width * factor)), max(1, round(task.height * factor)))
    image = open_upright(content, at_least=size)
    if image.size != size:
        image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    if task.boxes:
        image = draw_boxes(
            image, [_drawn(box, factor) for box in task.boxes], scores=False, face=face_of(_names(task.boxes))
        )
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY, subsampling=0 if task.boxes else -1)  # boxes are thin coloured lines
    return out.getvalue()


def _drawn(box: RenderedBox, factor: float) -> PredictedBox:
    return scaled(PredictedBox(box.label, box.class_index, 1.0, box.x1, box.y1, box.x2, box.y2), factor)


def _names(boxes: Sequence[RenderedBox]) -> frozenset[str]:
    return frozenset(box.label for box in boxes)
