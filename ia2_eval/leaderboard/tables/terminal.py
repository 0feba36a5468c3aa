"""Tables for the terminal."""

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
BEST = "°"
"""Before a best value where nothing can be bold, as in a file: numbers stand at the right, so it moves none."""


def print_leaderboard(leaderboard: Leaderboard, console: Console) -> None:
    """Prints tables, then what is missing, then the files, or the folder of figures."""
    print_tables(leaderboard.tables, console)
    for heading, lines in leaderboard.remarks():
        console.print(Text(f"{heading}:", style="bold"))
        for line in lines:
            console.print(Text(f"  {line}"), soft_wrap=True)
    folders = [path.parent if path.suffix in (".png", ".svg") else path for path in leaderboard.paths]
    for path in dict.fromkeys(folders):
        console.print(Text(str(path), style="dim"), soft_wrap=True)


def print_tables(tables: Iterable[Table], console: Console) -> None:
    """Prints tables with their captions, in blocks of columns where the terminal is narrow.

    Best values are bold; where the console has no styles, they have the mark `BEST`.
    """
    mark = BEST if console.color_system is None else ""
    for table in tables:
        console.print(Text(table.title, style="bold"))
        for block in _blocks(table, console.width, mark):
            # One column alone may be too wide: longer lines are better than lost figures.
            block.width = table_width(block)
            console.print(block, crop=False)
        for remark in (*table.caption, *([f"{mark}: bold elsewhere."] if mark and table.best else [])):
            console.print(Text(remark, style="dim"))
        console.print()


def _blocks(table: Table, width: int, mark: str) -> list[RichTable]:
    """The table in the first form that fits: side by side, stacked, stacked in blocks that repeat the keys."""
    wide = _rich_table(table, range(len(table.columns)), mark, stacked=False)
    if table_width(wide) <= width:
        return [wide]
    blocks, columns = [], list(range(len(table.columns)))
    while columns:
        count = len(columns)
        while count > 1 and table_width(_rich_table(table, columns[:count], mark, stacked=True)) > width:
            count -= 1
        blocks.append(_rich_table(table, columns[:count], mark, stacked=True))
        columns = columns[count:]
    return blocks or [wide]


def table_width(drawn: RichTable) -> int:
    """Columns that a table wants."""
    console = Console(width=UNBOUNDED)
    return Measurement.get(console, console.options, drawn).maximum


def _rich_table(table: Table, columns: Sequence[int], mark: str, stacked: bool) -> RichTable:
    """Some of the columns; the values of a stack side by side, or one above the other. No line is broken in it."""
    drawn = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    below = "\n" * (len(table.values) - max(map(len, table.keys), default=1)) if stacked else ""
    for name in _line(table.keys, stacked):
        numbers = table.words.isdisjoint(name.splitlines())
        drawn.add_column(Text(name + below), justify="right" if numbers else "left", no_wrap=True)
    for i in columns:
        figures = [_line([row[len(table.keys) + i]], stacked) for row in table.rows]
        for j, names in enumerate(_line([table.values], stacked)):
            lines = [line for text in (names, *(values[j] for values in figures)) for line in text.splitlines()]
            name = _folded(table.columns[i], max(map(cell_len, lines), default=0))
            drawn.add_column(Text(f"{name}\n{names}"), justify="right", no_wrap=True)
    for row in table.marked_rows():
        shown = [*row[: len(table.keys)], *(row[len(table.keys) + i] for i in columns)]
        texts = [
            [Text(mark + value, style="bold") if best else Text(value) for value, best in stack] for stack in shown
        ]
        drawn.add_row(
            *([Text("\n").join(stack) for stack in texts] if stacked else [text for stack in texts for text in stack])
        )
    return drawn


def _folded(name: str, width: int) -> str:
    """A name in lines of at most this width, or `SHORT`, or that of its longest word."""
    return textwrap.fill(name, max(width, SHORT, *map(len, name.split() or [""])), break_on_hyphens=False)


def _line(stacks: Iterable[Stack], stacked: bool) -> list[str]:
    return ["\n".join(stack) for stack in stacks] if stacked else [value for stack in stacks for value in stack]
