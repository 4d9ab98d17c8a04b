"""Which options of an export go together: refused before anything is queued or read."""

from collections.abc import Iterator

from core.domain.errors import RequestInvalid
from core.domain.field_errors import not_valid
from pipeline.export.catalogue import FORMATS, Format, Nms, Precision

LOSSY: tuple[Precision, ...] = ("int8",)


def validate_options(kind: str, *, format: Format, precision: Precision, nms: Nms, max_drop: float | None) -> None:
    """`kind`: of the model's datasets. Raises RequestInvalid with `errors`: [{field, message}], one for each field."""
    errors = [*_misfits(kind, format=format, precision=precision, nms=nms, max_drop=max_drop)]
    if errors:
        raise RequestInvalid(not_valid(errors), errors=errors)


def _misfits(
    kind: str, *, format: Format, precision: Precision, nms: Nms, max_drop: float | None
) -> Iterator[dict[str, str]]:
    written = FORMATS[format].precisions
    if precision not in written:
        yield {"field": "precision", "message": f"{format} is written as {', '.join(written)}"}
    if nms == "inside" and kind != "detection":
        yield {"field": "nms", "message": "a classifier has no boxes to suppress"}
    elif nms == "inside" and not FORMATS[format].nms_inside:
        yield {"field": "nms", "message": f"{format} is written with suppression outside"}
    if max_drop is not None and precision not in LOSSY:
        yield {"field": "max_drop", "message": "is an option of int8 alone"}
    elif max_drop is not None and not 0 <= max_drop <= 1:
        yield {"field": "max_drop", "message": "is from 0 to 1"}
