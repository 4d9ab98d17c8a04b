"""Versions side by side: figures as rows, versions as columns; and versions over datasets."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from darkroom.cli.main_metrics import best, numbers
from darkroom.cli.tables import Column, Rows, styled
from darkroom.cli.text import figure, safe

if TYPE_CHECKING:
    from rich.text import Text

    from darkroom.schemas import Comparison, EvaluationMatrix, ModelVersion, PairedComparison, PairedFigure
    from darkroom.schemas.evaluations import MatrixRow

BEST = "bold green"
CLASSES_PRINTED = 20
OWN_REPORT, FROZEN_SET, EVALUATIONS = "Own report", "Frozen test set", "Evaluations"  # the tables, by their titles
_BY_TRAINING = f"{OWN_REPORT}: by each training, on its own data."
_ON_FROZEN = f"{FROZEN_SET}: both on the same images."
_EVALUATED = f"{EVALUATIONS}: later, of a version or (onnx fp32) of a file."
_PADDED = (
    f"For the same split {OWN_REPORT} can differ from the others, much for a weak detector: a yolo training pads the "
    "images of a batch to one shape, an evaluation each for itself."
)
_PADDING_TRAINER = "yolo"
_CERTIFIED = "How far a file is from its version: its certificate, `darkroom export`."
MARK = " *"  # also where there are no colours


def which_is_which(*, frozen: bool, evaluations: bool, trainers: Collection[str] = ()) -> str:
    """A line on where the figures of one split come from; empty where there are those of the trainings alone.

    `frozen`: the versions were compared on the frozen test set; `evaluations`: or evaluated over datasets.
    `trainers`: of the versions.
    """
    others = [text for text, printed in ((_ON_FROZEN, frozen), (_EVALUATED, evaluations)) if printed]
    why = [_PADDED] if _PADDING_TRAINER in trainers else []
    return " ".join((_BY_TRAINING, *others, *why, _CERTIFIED)) if others else ""


def figures_table(versions: "Sequence[ModelVersion]", *, split: str) -> Rows:
    """Each version on the split of its own dataset, unless the matrix says more."""
    measured = {each.name: numbers(each.metrics.get(split) or {}) for each in versions}
    names = list(dict.fromkeys(name for values in measured.values() for name in values))
    columns = [Column("figure")]
    columns += [Column(safe(_short(each, versions)), right=True) for each in versions]
    cells: list[list[str | Text]] = []
    for name in names:
        values = {version: found[name] for version, found in measured.items() if name in found}
        chosen = best(values, name)
        cells.append([name, *(_cell(values.get(each.name), each.name == chosen) for each in versions)])
    cells.append(["trainer", *(each.trainer for each in versions)])
    cells.append(["aliases", *(styled(" ".join(f"@{alias}" for alias in each.aliases), "green") for each in versions)])
    title = f"{OWN_REPORT}: each on the {split} split of its own dataset; * is the best"
    if not names:
        title = f"{OWN_REPORT}: none was evaluated on a {split} split; --split names another"
    return Rows(columns, cells, title=title)


def matrix_table(matrix: "EvaluationMatrix", rows: "Sequence[MatrixRow]") -> Rows | None:
    """Versions x datasets, the best of each dataset marked; None without any evaluation."""
    if not any(cell.value is not None for row in rows for cell in row.cells):
        return None
    columns = [Column("version", style="bold"), *(Column(safe(each.name), right=True) for each in matrix.datasets)]
    chosen = []
    for index in range(len(matrix.datasets)):
        values = {str(at): row.cells[index].value for at, row in enumerate(rows)}
        chosen.append(best({at: value for at, value in values.items() if value is not None}, matrix.metric))
    cells: list[list[str | Text]] = []
    for at, row in enumerate(rows):
        found = zip(row.cells, chosen, strict=True)
        cells.append(
            [_name(row), *(_cell(each.value, best_at == str(at), seen=each.seen_images) for each, best_at in found)]
        )
    seen = any(cell.seen_images for row in rows for cell in row.cells)
    note = "; ~ was trained on images of it" if seen else ""
    return Rows(
        columns,
        cells,
        title=f"{EVALUATIONS}: {safe(matrix.metric)} on the {matrix.split} split of the same datasets{note}",
    )


def comparison_table(found: "Comparison") -> Rows:
    """Two versions on the frozen test set of their project."""
    columns = [Column("figure"), *(Column(safe(side.version), right=True) for side in (found.first, found.second))]
    columns.append(Column("change", right=True))
    cells: list[list[str | Text]] = [
        [
            safe(each.metric),
            figure(each.first),
            figure(each.second),
            "" if each.change is None else f"{each.change:+.3f}",
        ]
        for each in found.figures
    ]
    sides = (found.first, found.second)
    cells.append(["images seen", *(str((side.seen or {}).get("images", "?")) for side in sides), ""])
    return Rows(columns, cells, title=f"{FROZEN_SET}: both on the images of {safe(found.dataset)}")


def paired_table(found: "Comparison", paired: "PairedComparison") -> Rows:
    """Two versions class by class on the same images; those that changed most first."""
    columns = [Column("class"), Column("figure"), Column("images", right=True)]
    columns += [Column(safe(side.version), right=True) for side in (found.first, found.second)]
    columns += [Column("change", right=True), Column("95 %")]
    rows = [("all", paired.images, each) for each in paired.figures]
    rows += [(each.name, each.images, each.figures[0]) for each in paired.per_class[:CLASSES_PRINTED]]
    cells: list[list[str | Text]] = [
        [
            safe(name),
            safe(each.metric),
            str(images),
            figure(each.first),
            figure(each.second),
            _change(each),
            "" if each.interval is None else f"{each.interval[0]:+.3f} to {each.interval[1]:+.3f}",
        ]
        for name, images, each in rows
    ]
    left_out = len(paired.per_class) - CLASSES_PRINTED
    more = f"; the {CLASSES_PRINTED} classes that changed most" if left_out > 0 else ""
    title = f"Image by image: {paired.won} won by {safe(found.second.version)}, {paired.lost} lost, {paired.tied} tied"
    return Rows(columns, cells, title=f"{title}; * is beyond chance{more}")


def _change(each: "PairedFigure") -> "Text":
    is_sure = each.interval is not None and (each.interval[0] > 0 or each.interval[1] < 0)
    text = f"{each.change:+.3f}{MARK if is_sure else ' ' * len(MARK)}"
    return styled(text, ("bold green" if each.change > 0 else "bold red") if is_sure else "")


def _cell(value: float | None, is_best: bool, *, seen: int | None = None) -> "Text":
    text = figure(value) + ("~" if seen and value is not None else "")
    return styled(f"{text}{MARK}", BEST) if is_best else styled(f"{text}{' ' * len(MARK)}", "")


def _name(row: "MatrixRow") -> str:
    return f"{row.version} {row.export}" if row.export else row.version


def _short(version: "ModelVersion", versions: "Sequence[ModelVersion]") -> str:
    """Without the project, where all are of the same one."""
    return version.version if len({each.project for each in versions}) == 1 else version.name
