"""Versions, their exports and evaluations as tables."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from darkroom.cli.main_metrics import MAIN, main_metrics, numbers
from darkroom.cli.tables import Column, Facts, Rows, state, styled
from darkroom.cli.text import age, counted, figure, safe, size

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from darkroom.schemas import Alias, Evaluation, Export, ExportFigure, ExportList, ModelVersion


def versions(items: "Sequence[ModelVersion]") -> Rows:
    measured = [main_metrics(each.metrics) for each in items]
    names = [name for name in MAIN if any(name in values for _, values in measured)]
    columns = (
        Column("version", style="bold"),
        Column("aliases"),
        Column("made from", from_width=80),
        *(Column(name, right=True) for name in names[:2]),
        Column("split"),
        Column("made", from_width=80),
        Column("dataset job", from_width=130),
    )
    cells: list[list[str | Text]] = []
    for each, (split, values) in zip(items, measured, strict=True):
        aliases = styled(" ".join(f"@{alias}" for alias in each.aliases), "green")
        main = (figure(values.get(name)) for name in names[:2])
        cells.append(
            [each.name, aliases, _made_from(each), *main, split or "-", age(each.created_at), each.job_id or "-"]
        )
    return Rows(columns, cells, empty="No versions. `darkroom train PROJECT --watch` makes one.")


def version(found: "ModelVersion") -> Facts:
    split, values = main_metrics(found.metrics)
    pairs: dict[str, str | Text] = {
        "version": styled(found.name, "bold"),
        "aliases": styled(" ".join(f"@{alias}" for alias in found.aliases) or "-", "green"),
        "made from": _made_from(found),
        "made": age(found.created_at),
    }
    if values:
        pairs[f"on {split}"] = ", ".join(f"{name} {figure(value)}" for name, value in values.items())
    pairs["weights"] = ", ".join(
        f"{each.name}, {size(each.bytes)}" for each in found.artifacts if each.name == found.weights
    )
    pairs["files"] = ", ".join(each.name for each in found.artifacts)
    return Facts(pairs)


def alias(found: "Alias") -> Facts:
    pairs: dict[str, str | Text] = {f"{found.project}@{found.alias}": styled(found.name, "bold")}
    if found.history:
        pairs["history"] = ", ".join(f"{move.action} {move.version} {age(move.at)}" for move in found.history[-5:])
    if found.warning:
        pairs["warning"] = styled(found.warning, "yellow")
    return Facts(pairs)


def exports(found: "ExportList") -> Rows:
    """All formats side by side."""
    columns = (
        Column("format", style="bold"),
        Column("precision"),
        Column("passed"),
        Column("size", right=True),
        Column("equal", right=True),
        Column("change", right=True),
        Column("speed", right=True),
        Column("export", from_width=120),
    )
    cells: list[list[str | Text]] = [
        [
            *(each.format, each.precision, _passed(each), size(each.bytes), _equal(each), _change(each)),
            *(f"{each.speed_up:.2f}x" if each.speed_up else "-", each.export_id),
        ]
        for each in found.items
    ]
    for each in (*found.waiting, *found.failed):
        params = each.params
        cells.append([str(params.get("format", "-")), str(params.get("precision", "-")), state(each.state), *"-----"])
    return Rows(columns, cells, empty=f"No exports. `darkroom export {safe(found.name)}` makes one.")


def certificate(made: "Export") -> Facts:
    pairs: dict[str, str | Text] = {
        "export": styled(f"{made.name} {made.format} {made.precision}", "bold"),
        "certificate": _passed(made),
        "file": f"{made.file_name}, {size(made.bytes)}",
        "sha256": made.sha256,
    }
    if made.predictions:
        compared = made.predictions
        pairs["equal predictions"] = f"{compared.equal} of {compared.compared} ({compared.share:.1%})"
    if made.figure:
        of = made.figure
        pairs[safe(of.name)] = f"{figure(of.model)} -> {figure(of.export)}, {_interval(of)}"
    if made.milliseconds:
        times = made.milliseconds
        pairs["milliseconds"] = (
            f"{times.model.p50:.1f} -> {times.export.p50:.1f} (p50), {made.speed_up or 0:.2f}x as fast"
        )
    if made.engine:
        pairs["engine"] = made.engine
    if made.images is not None:
        pairs["compared on"] = counted(made.images, "image")
    if made.reasons:
        pairs["not passed"] = styled(" ".join(made.reasons), "red")
    return Facts(pairs)


def evaluation(found: "Evaluation") -> "RenderableType":
    """The figures, with their 95% intervals and without images that the version was trained on."""
    from rich.console import Group
    from rich.text import Text

    name = f"{found.version} {found.export}" if found.export else found.version
    metrics, unseen = found.metrics, numbers(found.metrics.get("unseen") or {})
    columns = (
        Column("figure"),
        Column("all images", right=True, style="bold"),
        Column("95% interval"),
        Column("never trained on", right=True),
    )
    cells = [
        (each, figure(value), _range((metrics.get("intervals") or {}).get(each)), figure(unseen.get(each)))
        for each, value in numbers(metrics).items()
    ]
    notes = dict.fromkeys(metrics[key] for key in ("unseen_note", "untouched_note") if metrics.get(key))
    return Group(
        Facts({"version": styled(name, "bold"), "dataset": f"{found.dataset}, {found.split}"}),
        Text(""),
        Rows(columns, cells),
        *(Text(safe(note), style="dim") for note in notes),
    )


def _made_from(found: "ModelVersion") -> str:
    if found.parent:
        return found.parent.name
    return "imported" if found.origin == "imported" else str(found.params.get("model") or found.trainer)


def _passed(made: "Export") -> "Text":
    return state("passed") if made.passed else state("failed")


def _equal(made: "Export") -> str:
    return f"{made.predictions.share:.1%}" if made.predictions else "-"


def _change(made: "Export") -> str:
    return f"{made.figure.change:+.4f}" if made.figure else "-"


def _interval(of: "ExportFigure") -> str:
    return f"change {of.change:+.4f} ({of.low:+.4f} to {of.high:+.4f})"


def _range(bounds: object) -> str:
    if not isinstance(bounds, list | tuple) or len(bounds) != 2:
        return ""
    return f"{figure(bounds[0])} to {figure(bounds[1])}"
