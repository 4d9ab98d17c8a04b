"""The matrix of evaluations as CSV: a line for each version, the figures first, then what belongs to each."""

import csv
import io

from api.schemas.evaluation_matrix import CellOfMatrix, EvaluationMatrix
from core.domain.spreadsheet import as_text_cell

# Of each dataset, behind the figures: `raccoons/d2 low`, ...
BESIDE = (
    *("low", "high", "images", "source", "seen_images", "seen_known", "unseen", "missing_classes"),
    "evaluation_id",
)


def matrix_csv(matrix: EvaluationMatrix) -> bytes:
    """RFC 4180 in UTF-8, the header first. The figures are those of the metric and the split of the matrix."""
    out = io.StringIO()
    writer = csv.writer(out)
    names = [each.name for each in matrix.datasets]
    writer.writerow(["version", "export", *names, *(f"{name} {field}" for name in names for field in BESIDE)])
    for row in matrix.rows:
        figures = [_text(cell.value) for cell in row.cells]
        beside = [_text(value) for cell in row.cells for value in _beside(cell)]
        writer.writerow([_text(row.version), _text(row.export), *figures, *beside])
    return out.getvalue().encode()


def _beside(cell: CellOfMatrix) -> list[object]:
    return [getattr(cell, field) for field in BESIDE]


def _text(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else as_text_cell(str(value))
