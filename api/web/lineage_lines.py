"""The lines between rows of the lineage, as paths of SVG: along the lane of a parent, with round corners."""

from api.web.lineage_layout import Rail

_ROUND = 6.0  # of a corner, in pixels


def line_to(rail: Rail, end: tuple[float, float]) -> str:
    """From the parent to one child, or from the lane where the line to a farther child runs along it already."""
    x, (start_x, start_y), (end_x, end_y) = rail.x, rail.start, end
    if abs(end_y - start_y) < 1:
        return f"M{start_x:g} {start_y:g}H{end_x:g}"
    bend = min(_ROUND, abs(end_y - start_y) / 2)
    down = bend if end_y > start_y else -bend
    corner = f"Q{x:g} {end_y:g} {x + (bend if end_x > x else -bend):g} {end_y:g}H{end_x:g}"
    heights = [height for _, height in rail.ends]
    if end_y not in (min(heights), max(heights)):
        return f"M{x:g} {end_y - down:g}{corner}"
    out = bend if x > start_x else -bend
    return f"M{start_x:g} {start_y:g}H{x - out:g}Q{x:g} {start_y:g} {x:g} {start_y + down:g}V{end_y - down:g}{corner}"


def tip(x: float, y: float, direction: float) -> str:
    """The corners of an arrowhead at (x, y) that points right where `direction` is 1, and left where it is -1."""
    return f"{x:g},{y:g} {x - 7 * direction:g},{y - 4:g} {x - 7 * direction:g},{y + 4:g}"
