"""One HTML page that needs nothing else: style, plots and drawings are inside, and its policy forbids the network."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, NewType

from metanet.report.drawing import draw
from metanet.report.tall import draw_tall

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure  # type: ignore[import-untyped]  # plotly has no types

Html = NewType("Html", str)
"""Text in which everything that came from outside is escaped."""

_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
_PLOT = '<div class="plot">'
_NUMBER = re.compile(r"[-+−±–×…<\d.,:\s%()\[\]kMGs]*\d[-+−±–×…\d.,:\s%()\[\]kMGs]*")
_STYLE = """
:root { color-scheme: light dark; --ground: #fff; --ink: #1b2028; --soft: #5d6673; --line: #dfe3e8; --raised: #f6f7f9;
  --accent: #2f7fc1; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171c; --ink: #e4e8ed; --soft: #98a2af; --line: #2c323b;
  --raised: #1b2027; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.6 system-ui, -apple-system, "Segoe UI",
  Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 3rem 1.25rem 5rem; }
h1 { font-size: 2rem; line-height: 1.2; letter-spacing: -0.02em; margin: 0 0 .5rem; }
.lead { color: var(--soft); font-size: 1.1rem; max-width: 44rem; margin: 0 0 1.5rem; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; padding: .75rem 0; border-block: 1px solid var(--line); }
nav a { color: var(--accent); text-decoration: none; font-size: .93rem; }
nav a:hover { text-decoration: underline; }
section { margin-top: 3rem; }
h2 { font-size: 1.3rem; letter-spacing: -0.01em; margin: 0 0 .75rem; }
p { max-width: 44rem; margin: 0 0 1rem; }
.scroll { overflow-x: auto; margin: 0 0 1.25rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding-bottom: .4rem; }
th, td { padding: .4rem .8rem; text-align: left; white-space: nowrap; border-bottom: 1px solid var(--line); }
thead th { color: var(--soft); font-weight: 600; border-bottom-width: 2px; }
tbody tr:hover { background: var(--raised); }
.number { text-align: right; }
pre { background: var(--raised); padding: .75rem 1rem; border-radius: 6px; font-size: .8rem; line-height: 1.45; }
.plot, .drawing { margin: 0 0 1.25rem; }
.drawing { overflow-x: auto; }
.drawing svg { display: block; width: 100%; height: auto; }
.tall { display: none; }
@media (max-width: 44rem) { .wide { display: none; } .tall { display: block; } main { padding-top: 1.5rem; } }
.part { outline: none; }
.part:hover > rect:first-of-type, .part:focus > rect:first-of-type { fill-opacity: .13; }
.plot .infolayer text, .plot .xaxislayer-above text, .plot .yaxislayer-above text { fill: var(--soft) !important; }
.plot .modebar-btn path { fill: var(--soft) !important; }
.plot .modebar, .plot .modebar-group { background: none !important; }
@media print { nav { display: none; } section { break-inside: avoid; } }
"""


@dataclass(frozen=True)
class Section:
    """A headed part of a page; its body comes from the functions of this file."""

    title: str
    body: Sequence[Html]


def page(title: str, sections: Sequence[Section], *, lead: str = "") -> str:
    """A whole page.

    lead  what the reader should know first, in one or two sentences
    """
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>",
        f"{_script(sections)}</head>\n<body>\n<main>",
        f"<h1>{escape(title)}</h1>",
        *([f'<p class="lead">{escape(lead)}</p>'] if lead else []),
        "<nav>" + "".join(f'<a href="#s{i}">{escape(s.title)}</a>' for i, s in enumerate(sections, 1)) + "</nav>",
    ]
    for i, section in enumerate(sections, 1):
        parts += [f'<section id="s{i}">', f"<h2>{escape(section.title)}</h2>", *section.body, "</section>"]
    return "\n".join([*parts, "</main>\n</body>\n</html>\n"])


def _script(sections: Sequence[Section]) -> str:
    """Plotly, four megabytes, where a section has a plot."""
    if not any(part.startswith(_PLOT) for section in sections for part in section.body):
        return ""
    from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]  # plotly has no types

    return f"<script>{get_plotlyjs()}</script>\n"


def paragraph(text: str) -> Html:
    """Running text."""
    return Html(f"<p>{escape(text)}</p>")


def links(targets: Mapping[str, str]) -> Html:
    """Links in one line.

    targets  path, relative to the page, by what is shown for it
    """
    shown = (f'<a href="{escape(path)}">{escape(text)}</a>' for text, path in targets.items())
    return Html(f"<p>{' · '.join(shown)}</p>")


def preformatted(text: str) -> Html:
    """Text whose lines and spaces stay, as JSON."""
    return Html(f'<pre class="scroll">{escape(text)}</pre>')


def network(rows: Sequence[Mapping[str, Any]]) -> Html:
    """A network's drawing: from left to right, on a narrow screen from top to bottom.

    rows  as for `metanet.report.draw`
    """
    wide, tall = draw(rows).svg, draw_tall(rows).svg
    return Html(f'<div class="drawing wide">{wide}</div>\n<div class="drawing tall">{tall}</div>')


def figure(plot: "Figure") -> Html:
    """An interactive plot; the page brings the script that it needs."""
    name = hashlib.sha256(plot.to_json().encode()).hexdigest()[:12]  # the same report twice is the same file
    config = {"displaylogo": False, "responsive": True, "modeBarButtonsToRemove": ["select2d", "lasso2d"]}
    div = plot.to_html(full_html=False, include_plotlyjs=False, div_id=f"plot-{name}", config=config)
    return Html(f"{_PLOT}{div}</div>")


def table(rows: "pd.DataFrame", *, caption: str = "", formats: Mapping[str, str] | None = None) -> Html:
    """A table of the rows without their index; columns of numbers stand to the right.

    formats  by column, for its numbers: ".1%", ",d" …; without one, whole numbers are grouped and others have 4 digits
    """
    formats = formats or {}
    columns = {str(name): [_cell(value, formats.get(str(name), "")) for value in rows[name]] for name in rows}
    classes = {name: ' class="number"' if _is_numeric(cells) else "" for name, cells in columns.items()}
    head = "".join(f'<th scope="col"{classes[name]}>{escape(name)}</th>' for name in columns)
    body = "\n".join(
        "<tr>"
        + "".join(f"<td{classes[name]}>{escape(cell)}</td>" for name, cell in zip(columns, line, strict=True))
        + "</tr>"
        for line in zip(*columns.values(), strict=True)
    )
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return Html(
        f'<div class="scroll"><table>{title}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
    )


def _cell(value: Any, format_: str) -> str:
    import pandas as pd

    if pd.api.types.is_scalar(value) and pd.isna(value):
        return "–"
    if pd.api.types.is_bool(value):
        return "yes" if value else "no"
    if pd.api.types.is_integer(value):
        return format(int(value), format_ or ",d")
    if pd.api.types.is_float(value):
        return format(float(value), format_ or ".4g")
    return str(value)


def _is_numeric(cells: Iterable[str]) -> bool:
    shown = [cell for cell in cells if cell != "–"]
    return bool(shown) and all(_NUMBER.fullmatch(cell) for cell in shown)
