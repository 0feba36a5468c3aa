"""Tables as a web page that needs nothing but its pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import PurePosixPath
from urllib.parse import quote

from ia2_eval.leaderboard.tables.table import Table

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; padding: 0 1rem; max-width: 100rem; }
h1 { font-size: 1.5rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 0.5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.87rem; font-variant-numeric: tabular-nums; margin: 1.5rem 0 0.5rem; }
caption { text-align: left; font-weight: 600; padding-bottom: 0.4rem; }
th, td { padding: 0.25rem 0.35rem; text-align: right; white-space: nowrap; }
th { font-weight: 600; vertical-align: bottom; }
thead th[colspan] { text-align: center; white-space: normal; border-bottom: 1px solid #8888; }
.word { text-align: left; }
tbody th { font-weight: 400; }
thead { border-top: 2px solid; border-bottom: 1px solid; }
tbody { border-bottom: 2px solid; }
tbody tr:nth-child(even) { background: #8881; }
.first { padding-left: 0.8rem; }
.remarks { max-width: 60rem; font-size: 0.9rem; margin: 0 0 2rem; padding: 0; list-style: none; }
.lines { max-width: 60rem; overflow-wrap: anywhere; }
img { display: block; max-width: 100%; margin: 1.5rem 0; }
@media print {
  :root { color-scheme: light; }
  body { font-size: 8pt; margin: 0; max-width: none; }
  .wide { overflow: visible; }
  thead { display: table-header-group; }
  tr, img { break-inside: avoid; }
  h2, caption { break-after: avoid; }
  th, td { padding: 0.1rem 0.3rem; }
}
@page { size: landscape; margin: 12mm; }
"""


def to_html(
    title: str,
    tables: Sequence[Table],
    remarks: Sequence[tuple[str, Sequence[str]]] = (),
    figures: Sequence[str] = (),
) -> str:
    """One static page. Best values are bold.

    Args:
        title: of the page.
        tables: in order.
        remarks: heading and lines, such as failed cells.
        figures: pictures, relative to the page.
    """
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        "</head>",
        "<body>",
        f"<h1>{escape(title)}</h1>",
        *(line for table in tables for line in _table(table)),
    ]
    for heading, lines in remarks:
        parts += [f"<h2>{escape(heading)}</h2>", '<ul class="lines">']
        parts += [f"<li>{escape(line)}</li>" for line in lines]
        parts.append("</ul>")
    if figures:
        parts += ["<h2>Figures</h2>", *map(_picture, figures)]
    return "\n".join([*parts, "</body>", "</html>"]) + "\n"


def _picture(path: str) -> str:
    """Of half its size, so that the letters of all are alike, and like those of the text."""
    words, url = PurePosixPath(path).stem.replace("_", " "), quote(path)
    picture = f'<img loading="lazy" src="{url}" alt="{escape(words)}">'
    return f'<picture><source srcset="{url} 2x">{picture}</picture>'


def _table(table: Table) -> Iterator[str]:
    yield '<div class="wide" tabindex="0">'  # a keyboard scrolls it, too
    yield "<table>"
    yield f"<caption>{escape(table.title)}</caption>"
    yield "<thead>"
    yield from _head(table)
    yield "</thead>"
    yield "<tbody>"
    for row in table.marked_rows():
        yield "<tr>" + "".join(_cells(table, row)) + "</tr>"
    yield "</tbody>"
    yield "</table>"
    yield "</div>"
    if table.caption:
        yield '<ul class="remarks">'
        yield from (f"<li>{escape(remark)}</li>" for remark in table.caption)
        yield "</ul>"


def _head(table: Table) -> Iterator[str]:
    width = len(table.values)
    keys = [name for stack in table.keys for name in stack]
    span = ' rowspan="2"' if width > 1 else ""
    first = [f'<th scope="col"{span}{_class(name in table.words)}>{escape(name)}</th>' for name in keys]
    if width == 1:
        names = [f"{column} {table.values[0]}".strip() for column in table.columns]
        yield "<tr>" + "".join([*first, *(f'<th scope="col">{escape(name)}</th>' for name in names)]) + "</tr>"
        return
    over = [f'<th scope="colgroup" colspan="{width}">{escape(column)}</th>' for column in table.columns]
    yield "<tr>" + "".join([*first, *over]) + "</tr>"
    values = [
        f'<th scope="col"{_class(first=not i)}>{escape(value)}</th>'
        for _ in table.columns
        for i, value in enumerate(table.values)
    ]
    yield "<tr>" + "".join(values) + "</tr>"


def _cells(table: Table, row: Sequence[Sequence[tuple[str, bool]]]) -> Iterator[str]:
    """The keys head their row."""
    for names, stack in zip(table.keys, row, strict=False):
        for name, (value, _) in zip(names, stack, strict=True):
            yield f'<th scope="row"{_class(name in table.words)}>{escape(value)}</th>'
    for stack in row[len(table.keys) :]:
        for i, (value, best) in enumerate(stack):
            shown = f"<strong>{escape(value)}</strong>" if best else escape(value)
            yield f"<td{_class(first=not i)}>{shown}</td>"


def _class(word: bool = False, first: bool = False) -> str:
    names = [name for name, there in (("word", word), ("first", first)) if there]
    return f' class="{" ".join(names)}"' if names else ""
