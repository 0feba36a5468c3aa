"""Tables for a paper."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ia2_eval.leaderboard.tables.table import Table

BETWEEN = "\u200b"
"""Stands between hyphens, two of which would become a dash, as in `--out`."""

SPECIAL = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\textquotedbl{}",
        "`": r"\textasciigrave{}",
        "*": r"\textasteriskcentered{}",
        "[": "{[}",  # after \\ and \midrule it would open an optional argument
        "]": "{]}",
        BETWEEN: "{}",
        "–": "--",
        "—": "---",
        "…": r"\ldots{}",
        "·": r"\textperiodcentered{}",
        "†": r"\textdagger{}",
        **{
            character: f"\\ensuremath{{{command}}}"
            for character, command in {
                "→": r"\rightarrow",
                "±": r"\pm",
                "−": "-",
                "×": r"\times",
                "≤": r"\leq",
                "≥": r"\geq",
                "≈": r"\approx",
                "Δ": r"\Delta",
                "α": r"\alpha",
                "²": "^2",
            }.items()
        },
    }
)

HEAD = r"""% Tables to \input into a document that has
%   \usepackage[T1]{fontenc}
%   \usepackage{booktabs,graphicx,textcomp}
"""


def to_latex(tables: Sequence[Table], remarks: Sequence[tuple[str, Sequence[str]]] = ()) -> str:
    """One `table` environment each, no wider than the page; its caption has the title and all remarks. A fragment to
    \\input. Best values are bold.

    Args:
        tables: in order.
        remarks: heading and lines, such as failed cells; a paragraph each, behind the tables.
    """
    return HEAD + "\n".join(["", *map(_table, tables), *(_paragraph(*remark) for remark in remarks)])


def escaped(text: str) -> str:
    """Text that LaTeX sets as it is; characters that it may not know are kept."""
    return re.sub("-(?=-)", f"-{BETWEEN}", " ".join(text.split())).translate(SPECIAL)


def _table(table: Table) -> str:
    keys = [name for stack in table.keys for name in stack]
    width = len(table.values)
    alignment = "".join("l" if name in table.words else "r" for name in keys) + "r" * width * len(table.columns)
    lines = [
        r"\begin{table}[htbp]",
        r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{@{{}}{alignment}@{{}}}}",
        r"\toprule",
        *_head(table, keys),
        r"\midrule",
        *(_line([_value(*value) for stack in row for value in stack]) for row in table.marked_rows()),
        r"\bottomrule",
        r"\end{tabular}}",
        rf"\caption{{{' '.join(map(escaped, (_sentence(table.title), *table.caption)))}}}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _paragraph(heading: str, lines: Sequence[str]) -> str:
    items = [rf"\item {escaped(line)}" for line in lines]
    return "\n".join([rf"\paragraph{{{escaped(heading)}}}", r"\begin{itemize}", *items, r"\end{itemize}", ""])


def _head(table: Table, keys: Sequence[str]) -> list[str]:
    """The columns above the names of their values, with a rule below each; one line where a column has one value."""
    width = len(table.values)
    if width == 1:
        names = [f"{column} {table.values[0]}".strip() for column in table.columns]
        return [_line([*map(escaped, keys), *map(escaped, names)])]
    first = len(keys) + 1
    rules = [rf"\cmidrule(lr){{{start}-{start + width - 1}}}" for start in _starts(first, width, len(table.columns))]
    over = [rf"\multicolumn{{{width}}}{{c}}{{{escaped(column)}}}" for column in table.columns]
    values = [*map(escaped, table.values)] * len(table.columns)
    return [_line([*[""] * len(keys), *over]), "".join(rules), _line([*map(escaped, keys), *values])]


def _starts(first: int, width: int, count: int) -> range:
    return range(first, first + width * count, width)


def _value(value: str, best: bool) -> str:
    return rf"\textbf{{{escaped(value)}}}" if best else escaped(value)


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _sentence(title: str) -> str:
    return title if title.endswith((".", "!", "?")) else f"{title}."
