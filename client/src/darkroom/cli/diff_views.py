"""What changed from one dataset to another, as tables."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from darkroom.cli.tables import Column, Facts, Rows, styled
from darkroom.cli.text import safe

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from darkroom.schemas import DatasetDiff, DiffSummary, ImageDiff, Quantiles

CLASSES = 20  # rows
STYLES = {"added": "green", "removed": "red", "renamed": "yellow", "changed": "cyan", "replaced": "yellow"}
MEASURES = {"image_width": "image width", "image_height": "image height", "box_size": "box size"}


def diff(
    found: "DatasetDiff", items: "Sequence[ImageDiff]", *, change: str | None = None
) -> "Iterator[RenderableType]":
    """The parts, with empty lines between them. `items`: the images with this `change`, or the first of them."""
    yield _facts(found)
    if found.equal:
        return
    for part in (_classes(found.summary), _sizes(found.summary), _images(items, total=_total(found.summary, change))):
        if part is not None:
            yield ""
            yield part


def _facts(found: "DatasetDiff") -> Facts:
    images, boxes, classes = found.summary.images, found.summary.boxes, found.summary.class_counts
    facts: dict[str, str | Text] = {"datasets": f"{safe(found.before.dataset)} -> {safe(found.after.dataset)}"}
    if found.equal:
        return Facts(facts | {"difference": "none: the fingerprints are equal"})
    in_both = [(images.replaced, "replaced"), (images.changed, "changed"), (images.moved, "moved")]
    parts = [(images.added, "added"), (images.removed, "removed"), *in_both, (images.split, "in another split")]
    facts["images"] = _shift(images.before, images.after, [*parts, (images.unchanged, "unchanged")])
    if boxes.before or boxes.after:
        parts = [(boxes.added, "added"), (boxes.removed, "removed"), (boxes.changed, "changed")]
        parts += [(boxes.in_added_images, "in added images"), (boxes.in_removed_images, "in removed images")]
        facts["boxes"] = _shift(boxes.before, boxes.after, parts)
    named = [(getattr(classes, name), name) for name in ("added", "removed", "renamed", "renumbered")]
    facts["classes"] = _shift(classes.before, classes.after, named)
    if found.summary.class_shift is not None:
        facts["class shift"] = f"{found.summary.class_shift:.1%} of the shares"
    facts["splits"] = ", ".join(f"{each.split} {each.before:,} -> {each.after:,}" for each in found.summary.splits)
    moves = [f"{each.images:,} from {each.before} to {each.after}" for each in found.summary.split_moves]
    return Facts(facts | ({"split moves": ", ".join(moves)} if moves else {}))


def _shift(before: int, after: int, parts: Sequence[tuple[int, str]]) -> str:
    named = ", ".join(f"{count:,} {name}" for count, name in parts if count)
    return f"{before:,} -> {after:,}" + (f": {named}" if named else "")


def _classes(summary: "DiffSummary") -> Rows | None:
    """Those that changed, or whose share shifts."""
    found = [each for each in summary.classes if each.change or each.share_before != each.share_after]
    if not found:
        return None
    columns = (
        Column("class", style="bold"),
        Column("before", right=True),
        Column("after", right=True),
        Column("share before", right=True),
        Column("share after", right=True),
        Column("change"),
    )
    cells = [
        (
            *(each.name, f"{each.count_before:,}", f"{each.count_after:,}"),
            *(f"{each.share_before:.1%}", f"{each.share_after:.1%}"),
            _change(each.change, each.name_before),
        )
        for each in found[:CLASSES]
    ]
    more = f"; {len(found) - CLASSES:,} more in --json" if len(found) > CLASSES else ""
    return Rows(columns, cells, title=f"Classes that differ{more}")


def _change(change: str | None, name_before: str | None) -> "Text":
    return styled(f"was {name_before}" if name_before else change or "", STYLES.get(change or "", ""))


def _sizes(summary: "DiffSummary") -> Rows | None:
    """Only where a quantile differs."""
    found = [each for each in summary.sizes if each.before != each.after]
    if not found:
        return None
    columns = (Column("size"), *(Column(name, right=True) for name in ("5 %", "25 %", "50 %", "75 %", "95 %")))
    return Rows(
        columns, [(MEASURES.get(each.measure, each.measure), *_quantiles(each.before, each.after)) for each in found]
    )


def _quantiles(before: "Quantiles | None", after: "Quantiles | None") -> list[str]:
    return [
        f"{_value(before, name)} -> {_value(after, name)}" if before != after else ""
        for name in ("p5", "p25", "p50", "p75", "p95")
    ]


def _value(quantiles: "Quantiles | None", name: str) -> str:
    return "-" if quantiles is None else f"{getattr(quantiles, name):g}"


def _total(summary: "DiffSummary", change: str | None) -> int:
    images = summary.images
    if change is not None:
        return int(getattr(images, change))
    return images.added + images.before - images.unchanged


def _images(items: "Sequence[ImageDiff]", *, total: int) -> Rows | None:
    if not items:
        return None
    columns = (
        Column("image", style="bold"),
        Column("change"),
        Column("boxes"),
        Column("split", from_width=90),
        Column("class", from_width=100),
    )
    cells = [(each.path, _changes(each), _boxes(each), _pair(each, "split"), _pair(each, "label")) for each in items]
    more = f", the first {len(items):,} of {total:,}" if total > len(items) else ""
    return Rows(columns, cells, title=f"Images that differ{more}")


def _changes(image: "ImageDiff") -> "Text":
    return styled(", ".join(image.changes), STYLES.get(image.changes[0], "") if image.changes else "")


def _boxes(image: "ImageDiff") -> str:
    counts = ((image.boxes_added, "+"), (image.boxes_removed, "-"), (image.boxes_changed, "~"))
    return " ".join(f"{sign}{count}" for count, sign in counts if count)


def _pair(image: "ImageDiff", field: str) -> str:
    before, after = (getattr(side, field) if side is not None else None for side in (image.before, image.after))
    return str(after or before or "") if before == after or None in (before, after) else f"{before} -> {after}"
