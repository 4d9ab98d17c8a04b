"""What a notebook displays of an object: HTML without scripts, in which every name is escaped."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from darkroom.schemas import Box, Dataset, Label, ModelVersion, Prediction, Run

COLOURS = ("#e6194b", "#1b7f3b", "#1f5fd6", "#b3541e", "#7b2fbf", "#0b7f8c", "#c2187a", "#5c6b00")
SPLITS = ("train", "val", "test")
MAX_IMAGE_BYTES = 8 * 1024**2  # a notebook keeps what it displays in its file
MAX_ROWS = 50
WIDTH, CURVE_WIDTH, CURVE_HEIGHT = 640, 300, 120
_FONT = "font-family:system-ui,sans-serif;font-size:13px"
_SIGNATURES = ((b"\xff\xd8", "jpeg"), (b"\x89PNG", "png"), (b"RIFF", "webp"), (b"GIF8", "gif"), (b"BM", "bmp"))


def prediction_html(prediction: Prediction) -> str:
    """The image with its boxes, or beside its classes as bars."""
    model = f"<b>{escape(prediction.model.name)}</b>"
    if prediction.error is not None:
        return _block(model, f'<p style="color:#b00020">{escape(prediction.error)}</p>')
    if prediction.labels:
        return _block(model, _image(prediction, 320) + _bars(prediction.labels))
    count = len(prediction.boxes)
    return _block(f"{model}, {count} {'box' if count == 1 else 'boxes'}", _image(prediction, WIDTH))


def dataset_html(dataset: Dataset) -> str:
    """Its classes by split, where it was described; else its classes."""
    head = f"<b>{escape(dataset.dataset)}</b>, {escape(dataset.state)}"
    head += f", {dataset.images} images" if dataset.images is not None else ""
    if dataset.problem:
        return _block(head, f'<p style="color:#b00020">{escape(dataset.problem.text)}</p>')
    if dataset.metadata is None:
        return _block(head, f"<p>{escape(', '.join((dataset.classes or ())[:MAX_ROWS]))}</p>")
    classes = list(dataset.metadata.get("per_class", {}).items())
    unit = "boxes" if dataset.kind == "detection" else "images"
    rows = [[name, *(counts.get(unit, {}).get(split, 0) for split in SPLITS)] for name, counts in classes]
    images = dataset.metadata.get("images", {})
    rows.append(["images in all", *(images.get(split, 0) for split in SPLITS)])
    return _block(head, _table([f"{unit} of", *SPLITS], rows))


def version_html(version: ModelVersion) -> str:
    """Its figures by split, and by class where it has them."""
    aliases = "".join(f" @{escape(alias)}" for alias in version.aliases)
    splits = {split: version.metrics[split] for split in SPLITS if version.metrics.get(split)}
    names = list(dict.fromkeys(name for figures in splits.values() for name in _numbers(figures)))
    rows = [[split, *(_numbers(figures).get(name) for name in names)] for split, figures in splits.items()]
    for split in ("test", "val"):
        per_class = (splits.get(split) or {}).get("per_class") or {}
        if per_class:
            rows += [[f"{split}: {label}", *(own.get(name) for name in names)] for label, own in per_class.items()]
            break
    body = _table(["", *names], rows) if rows else "<p>not evaluated</p>"
    return _block(f"<b>{escape(version.name)}</b>{aliases}, {escape(version.trainer)}", body)


def run_html(run: Run) -> str:
    """Its state, and a curve of each figure of its epochs, where it was described."""
    head = f"<b>{escape(run.run_id)}</b>, {escape(run.trainer)}, {escape(run.state)}"
    head += f", published v{run.version}" if run.version else ""
    error = f'<p style="color:#b00020">{escape(run.problem.text)}</p>' if run.problem else ""
    curves: dict[str, list[tuple[float, float]]] = {}
    for epoch in run.epochs:
        for name, value in _numbers(epoch.get("metrics") or {}).items():
            curves.setdefault(name, []).append((float(epoch["epoch"]), value))
    drawn = "".join(_curve(name, points) for name, points in curves.items())
    return _block(head, f'{error}<div style="display:flex;flex-wrap:wrap;gap:12px">{drawn}</div>')


def _block(head: str, body: str) -> str:
    return f'<div style="{_FONT}"><div style="margin-bottom:6px">{head}</div>{body}</div>'


def _image(prediction: Prediction, width: int) -> str:
    """Boxes lie over the image, which the browser displays upright: theirs are coordinates of the upright image."""
    wide, high = prediction.answer.width or 1, prediction.answer.height or 1
    width_px = min(width, max(wide, 160))
    source = _source(prediction)
    image = f'<img src="{source}" alt="" style="display:block;width:100%;height:100%">' if source else ""
    boxes = "".join(_box(box, wide / width_px) for box in sorted(prediction.boxes, key=lambda each: each.score))
    frame = f"position:relative;width:{width_px}px;max-width:100%;aspect-ratio:{wide}/{high};background:#8884"
    layer = f'<svg viewBox="0 0 {wide} {high}" style="position:absolute;inset:0;width:100%;height:100%">{boxes}</svg>'
    return f'<div style="{frame}">{image}{layer}</div>'


def _source(prediction: Prediction) -> str:
    kind = next((kind for start, kind in _SIGNATURES if prediction.image.startswith(start)), "")
    if not kind or len(prediction.image) > MAX_IMAGE_BYTES:
        return ""
    return f"data:image/{kind};base64,{base64.b64encode(prediction.image).decode()}"


def _box(box: Box, scale: float) -> str:
    """`scale`: pixels of the image in a pixel of the screen; the label stands above the box, inside it at the top."""
    colour = COLOURS[box.class_index % len(COLOURS)]
    text, size = f"{box.label} {box.score:.2f}", 12 * scale
    wide, high = (len(text) * 0.58 + 0.8) * size, 1.4 * size
    top = box.y1 - high if box.y1 >= high else box.y1
    return (
        f'<rect x="{box.x1:.1f}" y="{box.y1:.1f}" width="{box.x2 - box.x1:.1f}" height="{box.y2 - box.y1:.1f}" '
        f'fill="none" stroke="{colour}" stroke-width="{2 * scale:.2f}"/>'
        f'<rect x="{box.x1:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{high:.1f}" fill="{colour}"/>'
        f'<text x="{box.x1 + 0.4 * size:.1f}" y="{top + 1.05 * size:.1f}" font-size="{size:.1f}" '
        f'font-family="system-ui,sans-serif" fill="#fff">{escape(text)}</text>'
    )


def _bars(labels: Iterable[Label]) -> str:
    rows = "".join(
        f'<tr><td style="text-align:left;padding:2px 8px">{escape(each.label)}</td>'
        f'<td style="padding:2px 8px"><div style="width:200px;background:#8883"><div style="height:12px;'
        f'background:{COLOURS[2]};width:{100 * each.score:.1f}%"></div></div></td>'
        f'<td style="text-align:right;padding:2px 8px">{each.score:.3f}</td></tr>'
        for each in labels
    )
    return f'<table style="margin-top:8px;font:inherit;border-collapse:collapse">{rows}</table>'


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    head = "".join(_cell("th", name, left=index == 0) for index, name in enumerate(columns))
    body = "".join(
        f"<tr>{''.join(_cell('td', value, left=index == 0) for index, value in enumerate(row))}</tr>"
        for row in rows[:MAX_ROWS]
    )
    more = f"<p>and {len(rows) - MAX_ROWS} more</p>" if len(rows) > MAX_ROWS else ""
    return f'<table style="font:inherit;border-collapse:collapse"><tr>{head}</tr>{body}</table>{more}'


def _cell(tag: str, value: object, *, left: bool) -> str:
    text = "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
    side = "left" if left else "right"
    return f'<{tag} style="text-align:{side};padding:2px 8px;border-bottom:1px solid #8884">{escape(text)}</{tag}>'


def _numbers(figures: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: value
        for name, value in figures.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def _curve(name: str, points: Sequence[tuple[float, float]]) -> str:
    first, last = points[0][0], points[-1][0]
    values = [value for _, value in points]
    low, span = min(values), (max(values) - min(values)) or 1.0
    across, inner = (last - first) or 1.0, CURVE_HEIGHT - 40
    path = " ".join(
        f"{8 + (CURVE_WIDTH - 16) * (at - first) / across:.1f},{30 + inner * (1 - (value - low) / span):.1f}"
        for at, value in points
    )
    return (
        f'<svg width="{CURVE_WIDTH}" height="{CURVE_HEIGHT}" style="border:1px solid #8884">'
        f'<text x="8" y="18" font-size="12" fill="currentColor">{escape(name)} {values[-1]:.3f}</text>'
        f'<text x="{CURVE_WIDTH - 8}" y="18" font-size="11" text-anchor="end" fill="#888">'
        f"epoch {first:.0f} to {last:.0f}</text>"
        f'<polyline points="{path}" fill="none" stroke="{COLOURS[2]}" stroke-width="2"/></svg>'
    )
