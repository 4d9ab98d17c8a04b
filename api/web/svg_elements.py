"""Elements of a drawing, as an SVG of one style sheet: every colour is a class."""

from xml.etree import ElementTree


def add_text(
    parent: ElementTree.Element,
    text: str,
    x: float,
    y: float,
    *,
    size: float,
    style: str,
    weight: str = "400",
    anchor: str = "start",
) -> None:
    if text:
        shape: dict[str, str | float] = {"font_size": size, "font_weight": weight, "text_anchor": anchor}
        add(parent, "text", x=x, y=y, class_=style, **shape).text = text


def add(parent: ElementTree.Element, tag: str, **attributes: str | float) -> ElementTree.Element:
    """`class_` is the attribute `class`, `stroke_width` is `stroke-width`."""
    named = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    return ElementTree.SubElement(parent, tag, {name: _value(value) for name, value in named.items()})


def _value(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"
