"""Tables for the terminal and as Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from ia2_eval.leaderboard.board import Leaderboard
from ia2_eval.leaderboard.tables.table import Stack, Table

SHORT = len("IA2 → SFT")  # a name of this length is not folded
UNBOUNDED = 10_000  # wider than any table, to measure how much room one wants


def print_leaderboard(leaderboard: Leaderboard, console: Console) -> None:
    """Prints tables, then what is missing, then the files, or the folder of figures."""
    for table in leaderboard.tables:
        console.print(Text(table.title, style="bold"))
        for block in _blocks(table, console.width):
            # One method alone may be too wide: longer lines are better than lost figures.
            block.width = table_width(block)
            console.print(block, crop=False)
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
        methods = [f"{method} {metric}" for method in table.columns for metric in table.values]
        header = [*_line(table.keys, stacked=False), *methods]
        rows = [_line(row, stacked=False) for row in table.rows]
        parts += [f"## {table.title}", _markdown_table(header, rows), "  \n".join(map(_escape, table.caption))]
    for heading, lines in remarks:
        parts += [f"## {heading}", "\n".join(f"- {_escape(line)}" for line in lines)]
    if figures:
        parts += ["## Figures", *(f"![{figure.rpartition('/')[2]}](<{figure}>)" for figure in figures)]
    return "\n\n".join(parts) + "\n"


def _blocks(table: Table, width: int) -> list[RichTable]:
    """The table in the first form that fits: side by side, stacked, stacked in blocks that repeat the keys."""
    wide = _rich_table(table, range(len(table.columns)), stacked=False)
    if table_width(wide) <= width:
        return [wide]
    blocks, methods = [], list(range(len(table.columns)))
    while methods:
        count = len(methods)
        while count > 1 and table_width(_rich_table(table, methods[:count], stacked=True)) > width:
            count -= 1
        blocks.append(_rich_table(table, methods[:count], stacked=True))
        methods = methods[count:]
    return blocks


def table_width(drawn: RichTable) -> int:
    """Columns that a table wants."""
    console = Console(width=UNBOUNDED)
    return Measurement.get(console, console.options, drawn).maximum


def _rich_table(table: Table, methods: Sequence[int], stacked: bool) -> RichTable:
    """Some of the methods; the values of a stack side by side, or one above the other. No line is broken in it."""
    drawn = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    below = "\n" * (len(table.values) - 2) if stacked else ""  # where metrics have more lines than keys
    for name in _line(table.keys, stacked):
        drawn.add_column(
            Text(name + below), justify="left" if "source" in name or "eval" in name else "right", no_wrap=True
        )
    for i in methods:
        figures = [_line([row[len(table.keys) + i]], stacked) for row in table.rows]
        for j, metrics in enumerate(_line([table.values], stacked)):
            lines = [line for text in (metrics, *(values[j] for values in figures)) for line in text.splitlines()]
            name = _folded(table.columns[i], max(map(cell_len, lines)))
            drawn.add_column(Text(f"{name}\n{metrics}"), justify="right", no_wrap=True)
    for row in table.rows:
        shown = [*row[: len(table.keys)], *(row[len(table.keys) + i] for i in methods)]
        drawn.add_row(*map(Text, _line(shown, stacked)))
    return drawn


def _folded(name: str, width: int) -> str:
    """A name in lines of at most this width, or `SHORT`, or that of its longest word."""
    return textwrap.fill(name, max(width, SHORT, *map(len, name.split())), break_on_hyphens=False)


def _line(stacks: Iterable[Stack], stacked: bool) -> list[str]:
    return ["\n".join(stack) for stack in stacks] if stacked else [value for stack in stacks for value in stack]


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(_escape, line)) + " |" for line in lines)


def _escape(text: str) -> str:
    for character in "\\|*_<":
        text = text.replace(character, f"\\{character}")
    return text
