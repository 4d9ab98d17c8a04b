"""Two versions on the frozen test set, as a table."""

from darkroom.cli.comparison import comparison_table
from darkroom.schemas import ComparedFigure, Comparison, ComparisonSide


def test_figures_of_both_their_change_and_the_images_seen() -> None:
    first = ComparisonSide("yard/v1", "yolo", {}, seen={"images": 0})
    second = ComparisonSide("yard/v2", "yolo", {}, seen={"images": 2})
    figures = (ComparedFigure("mAP50", 0.6, 0.75, 0.15), ComparedFigure("f1", 0.5))
    found = Comparison("yard", "job_1", "yard/d1", "test", first, second, figures, {}, (), {}, 1)
    table = comparison_table(found)
    assert [[str(cell) for cell in row] for row in table.cells] == [
        ["mAP50", "0.600", "0.750", "+0.150"],
        ["f1", "0.500", "-", ""],
        ["images seen", "0", "2", ""],
    ]
