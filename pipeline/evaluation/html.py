"""A report as one self-contained HTML file: images embedded, no script, all text escaped."""

import base64
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from pipeline.evaluation.report import Cell, Figure, Report, Section, Table, cell_text

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #f5f6f8; color: #1f2933;
  font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 26px; margin: 0 0 16px; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 0 0 4px; }
h3 { font-size: 15px; margin: 20px 0 6px; color: #52606d; font-weight: 600; }
p { margin: 4px 0 8px; color: #52606d; max-width: 75ch; }
section, .facts { background: #fff; border: 1px solid #e4e7eb; border-radius: 8px; padding: 20px 24px;
  margin-top: 20px; }
.headline { display: flex; flex-wrap: wrap; gap: 12px; }
.headline div { flex: 1 1 150px; background: #fff; border: 1px solid #e4e7eb; border-radius: 8px; padding: 12px 18px; }
.headline b { display: block; font-size: 28px; line-height: 1.2; color: #0a5a92; font-variant-numeric: tabular-nums; }
.headline span { color: #52606d; font-size: 13px; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 6px 28px; }
.facts div { display: flex; justify-content: space-between; gap: 16px;
  border-bottom: 1px solid #f0f2f4; padding: 3px 0; }
.facts span { color: #52606d; white-space: nowrap; }
.facts b { font-weight: 600; text-align: right; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 14px; }
th { text-align: left; color: #52606d; font-weight: 600; border-bottom: 2px solid #e4e7eb; }
th, td { padding: 4px 14px 4px 0; vertical-align: top; }
td { border-bottom: 1px solid #f0f2f4; overflow-wrap: anywhere; max-width: 420px; }
.n { text-align: right; white-space: nowrap; }
.shaded td, .shaded th { padding: 4px 9px; border-bottom: 0; }
.images { display: flex; flex-wrap: wrap; gap: 8px 24px; align-items: flex-start; }
figure { margin: 12px 0 0; flex: 1 1 100%; }
figure.half { flex: 1 1 400px; max-width: 520px; }
figcaption { font-size: 15px; color: #52606d; font-weight: 600; }
img { display: block; max-width: 100%; height: auto; }
@media print { body { background: #fff; } section { break-inside: avoid-page; } }
"""


def write_html(report: Report, path: Path) -> None:
    body = "".join(_body(report))
    title = escape(report.title)
    path.write_text(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>{title}</title><style>{_STYLE}</style></head>\n<body><main>{body}</main></body></html>\n",
        encoding="utf-8",
    )


def _body(report: Report) -> Iterator[str]:
    yield f"<h1>{escape(report.title)}</h1>"
    tiles = (f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for name, value in report.headline)
    yield f'<div class="headline">{"".join(tiles)}</div>'
    facts = (f"<div><span>{escape(name)}</span><b>{escape(cell_text(value))}</b></div>" for name, value in report.facts)
    yield f'<div class="facts">{"".join(facts)}</div>'
    for section in report.sections:
        yield from _section(section)


def _section(section: Section) -> Iterator[str]:
    yield f"\n<section><h2>{escape(section.title)}</h2>"
    if section.text:
        yield f"<p>{escape(section.text)}</p>"
    images: list[str] = []
    for part in section.parts:
        if isinstance(part, Figure):
            images += [_figure(part)] if part.path.exists() else []
            continue
        yield _row(images)
        images = []
        yield from _table(part) if part.in_page and part.rows else ()
    yield _row(images) + "</section>"


def _row(images: list[str]) -> str:
    return f'<div class="images">{"".join(images)}</div>' if images else ""


def _figure(figure: Figure) -> str:
    content = base64.b64encode(figure.path.read_bytes()).decode()
    title = escape(figure.title)
    caption = f"<figcaption>{title}</figcaption>" if title else ""
    half = "" if figure.wide else ' class="half"'
    return f'<figure{half}>{caption}<img alt="{title}" src="data:image/png;base64,{content}"></figure>'


def _table(table: Table) -> Iterator[str]:
    if table.title:
        yield f"<h3>{escape(table.title)}</h3>"
    numeric = [all(_is_number(row[column]) for row in table.rows) for column in range(len(table.header))]
    yield f'<div class="scroll"><table{" class=shaded" if table.shade else ""}><thead><tr>'
    for name, number in zip(table.header, numeric, strict=True):
        yield f"<th{' class=n' if number else ''}>{escape(name)}</th>"
    yield "</tr></thead><tbody>"
    for row in table.rows:
        cells = zip(row, numeric, _shades(row) if table.shade else [""] * len(row), strict=True)
        yield (
            "<tr>"
            + "".join(f"<td{' class=n' if n else ''}{s}>{escape(cell_text(c))}</td>" for c, n, s in cells)
            + "</tr>"
        )
    yield "</tbody></table></div>"


def _is_number(value: Cell) -> bool:
    return value is None or not isinstance(value, str)


def _shades(row: Sequence[Cell]) -> list[str]:
    return ["" if share is None else f' style="background:#{tint(share)}"' for share in shares(row)]


def shares(row: Sequence[Cell]) -> list[float | None]:
    """The share of each number in the sum of its row; None for text."""
    total = sum(value for value in row if isinstance(value, int | float)) or 1
    return [value / total if isinstance(value, int | float) else None for value in row]


def tint(share: float) -> str:
    """White to a blue on which black text is legible, as rrggbb."""
    low, high = (255, 255, 255), (107, 174, 214)
    return "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(low, high, strict=True))
