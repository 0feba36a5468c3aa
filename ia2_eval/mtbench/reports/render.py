"""Tables of a report for the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from ia2_eval.leaderboard.tables.terminal import table_width
from ia2_eval.mtbench.reports.captions import WARNING
from ia2_eval.mtbench.reports.tables import Cell, Table

LONGEST_NAME = 28
"""Characters of a name, beyond which it is folded."""


def print_tables(tables: Sequence[Table], notes: Sequence[str], console: Console) -> None:
    for table in tables:
        console.print(Text(table.title, style="bold"))
        for block in _blocks(table, console.width):
            console.print(block, crop=False)
        for line in table.caption:
            console.print(Text(line, style="yellow" if line.startswith(WARNING) else "dim"))
        console.print()
    for note in notes:
        console.print(Text(f"Note: {note}"), soft_wrap=True)


def to_markdown(title: str, tables: Sequence[Table], notes: Sequence[str], figures: Sequence[str] = ()) -> str:
    """One page.

    Args:
        title: its heading.
        tables: in order.
        notes: what was left out.
        figures: pictures, relative to the page.
    """
    parts = [f"# {title}"]
    for table in tables:
        lines = [table.header, ("---", *["---:"] * (len(table.header) - 1))]
        shown = [tuple(map(_escape, lines[0])), lines[1]]
        shown += [tuple(_escape(" ".join(cell)) for cell in row) for row in table.rows]
        body = "\n".join(f"| {' | '.join(line)} |" for line in shown)
        parts += [f"## {_escape(table.title)}", body, "  \n".join(map(_escape, table.caption))]
    if notes:
        parts += ["## Notes", "\n".join(f"- {_escape(note)}" for note in notes)]
    if figures:
        parts += ["## Figures", *(f"![{figure.rpartition('/')[2]}](<{figure}>)" for figure in figures)]
    return "\n\n".join(parts) + "\n"


def _blocks(table: Table, width: int) -> list[RichTable]:
    """In the first form that fits: intervals beside values; below them; so in blocks that repeat the names."""
    columns = range(1, len(table.header))
    for below in (False, True):
        if table_width(whole := _rich_table(table, columns, below)) <= width:
            return [whole]
    blocks, left = [], list(columns)
    while left:
        count = len(left)
        while count > 1 and table_width(_rich_table(table, left[:count], below=True)) > width:
            count -= 1
        blocks.append(_rich_table(table, left[:count], below=True))
        left = left[count:]
    return blocks


def _rich_table(table: Table, columns: Sequence[int], below: bool) -> RichTable:
    drawn = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for i in (0, *columns):
        if i == 0 or any(len(row[i][0]) > LONGEST_NAME for row in table.rows):
            drawn.add_column(Text(table.header[i]), overflow="fold", max_width=LONGEST_NAME)
        else:
            drawn.add_column(Text(table.header[i]), justify="right", no_wrap=True)
    for row in table.rows:
        drawn.add_row(Text(row[0][0]), *(Text(_joined(row[i], below)) for i in columns))
    return drawn


def _joined(cell: Cell, below: bool) -> str:
    return ("\n" if below else " ").join(cell)


def _escape(text: str) -> str:
    for character in "\\|*_<":
        text = text.replace(character, f"\\{character}")
    return text
