"""Tables for the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from ia2_eval.leaderboard.board import Leaderboard
from ia2_eval.leaderboard.table import KEYS, Pair, Table

UNBOUNDED = 10_000  # wider than any table, to measure how much room one wants


def print_leaderboard(leaderboard: Leaderboard, console: Console) -> None:
    """Prints tables, then what is missing, then the files, or the folder of figures."""
    for table in leaderboard.tables:
        drawn = _fitting(table, console)
        # Too narrow even so: longer lines are better than lost columns.
        needed = Measurement.get(console, console.options.update(max_width=UNBOUNDED), drawn).minimum
        console.print(drawn, width=max(console.width, needed), crop=False)
        for remark in table.caption:
            console.print(Text(remark, style="dim"))
        console.print()
    for heading, lines in leaderboard.remarks():
        console.print(Text(f"{heading}:", style="bold"))
        for line in lines:
            console.print(Text(f"  {line}"), soft_wrap=True)
    folders = [path.parent if path.suffix in (".png", ".svg") else path for path in leaderboard.paths]
    for path in dict.fromkeys(folders):
        console.print(Text(str(path), style="dim"), soft_wrap=True)


def to_markdown(tables: Sequence[Table], remarks: Sequence[tuple[str, Sequence[str]]], figures: Sequence[str]) -> str:
    """The leaderboard as one Markdown page.

    Args:
        tables: in order.
        remarks: heading and lines, such as failed cells.
        figures: pictures, relative to the page.
    """
    parts = ["# Leaderboard"]
    for table in tables:
        methods = [f"{method} {metric}" for method in table.methods for metric in table.metrics]
        header = [*_line(KEYS, stacked=False), *methods]
        rows = [_line(row, stacked=False) for row in table.rows]
        parts += [f"## {table.title}", _markdown_table(header, rows), "  \n".join(map(_escape, table.caption))]
    for heading, lines in remarks:
        parts += [f"## {heading}", "\n".join(f"- {_escape(line)}" for line in lines)]
    if figures:
        parts += ["## Figures", *(f"![{figure.rpartition('/')[2]}](<{figure}>)" for figure in figures)]
    return "\n\n".join(parts) + "\n"


def _fitting(table: Table, console: Console) -> RichTable:
    """The table in the first form that fits: side by side, stacked with folded names, stacked with all folded."""
    options = console.options.update(max_width=UNBOUNDED)
    wide = _rich_table(table, stacked=False)
    if Measurement.get(console, options, wide).maximum <= console.width:
        return wide
    stacked = _rich_table(table, stacked=True)
    fits = Measurement.get(console, options, stacked).minimum <= console.width
    return stacked if fits else _rich_table(table, stacked=True, fold_numbers=True)


def _rich_table(table: Table, stacked: bool, fold_numbers: bool = False) -> RichTable:
    """The two values of a pair side by side, or one above the other where the terminal is narrow."""
    drawn = RichTable(
        title=Text(table.title, style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    methods = [f"{method}\n{metrics}" for method in table.methods for metrics in _line([table.metrics], stacked)]
    header = [*_line(KEYS, stacked), *methods]
    for name in header:
        words = "source" in name or "eval" in name
        justify: Literal["left", "right"] = "left" if words else "right"
        drawn.add_column(Text(name), justify=justify, overflow="fold", no_wrap=not (words or fold_numbers))
    for row in table.rows:
        drawn.add_row(*map(Text, _line(row, stacked)))
    return drawn


def _line(pairs: Iterable[Pair], stacked: bool) -> list[str]:
    return ["\n".join(pair) for pair in pairs] if stacked else [value for pair in pairs for value in pair]


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(_escape, line)) + " |" for line in lines)


def _escape(text: str) -> str:
    for character in "\\|*_<":
        text = text.replace(character, f"\\{character}")
    return text
