"""Two versions on the frozen test set, as a table."""

from darkroom.cli.comparison import CLASSES_PRINTED, comparison_table, paired_table, which_is_which
from darkroom.schemas import ComparedFigure, Comparison, ComparisonSide, PairedClass, PairedComparison, PairedFigure

SIDES = ComparisonSide("yard/v1", "yolo", {}), ComparisonSide("yard/v2", "yolo", {})


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


def test_a_line_says_which_figure_is_which_where_there_are_several() -> None:
    assert which_is_which(frozen=False, evaluations=False) == ""
    line = which_is_which(frozen=True, evaluations=True)
    assert [line.count(f"{name}:") for name in ("Own report", "Frozen test set", "Evaluations")] == [1, 1, 1]
    assert "certificate" in line and "\n" not in line
    assert "Frozen" not in which_is_which(frozen=False, evaluations=True)
    padded = which_is_which(frozen=True, evaluations=False, trainers={"yolo", "vit"})
    assert "pads the images of a batch" in padded and "\n" not in padded
    assert "pads" not in which_is_which(frozen=True, evaluations=True, trainers={"vit"})


def test_classes_have_the_interval_of_their_change_and_a_mark_where_it_is_beyond_chance() -> None:
    better = PairedFigure("accuracy", 0.6, 0.75, 0.15, (0.05, 0.24))
    open_ended, unknown = (PairedFigure("accuracy", 0.6, 0.5, -0.1, each) for each in ((-0.21, 0.02), None))
    classes = tuple(PairedClass(f"c{number}", 9, (open_ended if number else unknown,)) for number in range(30))
    paired = PairedComparison(40, 30, 400, (better,), classes, 12, 6, 22, "")
    found = Comparison("yard", "job_1", "yard/d1", "test", *SIDES, (), {}, (), {}, 1, paired=paired)
    table = paired_table(found, paired)
    assert [[str(cell) for cell in row] for row in table.cells[:3]] == [
        ["all", "accuracy", "40", "0.600", "0.750", "+0.150 *", "+0.050 to +0.240"],
        ["c0", "accuracy", "9", "0.600", "0.500", "-0.100  ", ""],
        ["c1", "accuracy", "9", "0.600", "0.500", "-0.100  ", "-0.210 to +0.020"],
    ]
    assert len(table.cells) == 1 + CLASSES_PRINTED and "12 won by yard/v2, 6 lost, 22 tied" in str(table.title)
