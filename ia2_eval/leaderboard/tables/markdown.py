"""Tables as a Markdown page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ia2_eval.leaderboard.tables.table import Table

SPECIAL = str.maketrans({character: f"\\{character}" for character in "\\`|*_<[]"})


def to_markdown(
    title: str,
    tables: Sequence[Table],
    remarks: Sequence[tuple[str, Sequence[str]]] = (),
    figures: Sequence[str] = (),
) -> str:
    """One page. Best values are bold.

    Args:
        title: of the page.
        tables: in order.
        remarks: heading and lines, such as failed cells.
        figures: pictures, relative to the page.
    """
    parts = [f"# {escaped(title)}"]
    for table in tables:
        parts += [f"## {escaped(table.title)}", _table(table), "  \n".join(map(escaped, table.caption))]
    for heading, lines in remarks:
        parts += [f"## {escaped(heading)}", "\n".join(f"- {escaped(line)}" for line in lines)]
    if figures:
        parts += ["## Figures", *(f"![{figure.rpartition('/')[2]}](<{figure}>)" for figure in figures)]
    return "\n\n".join(filter(None, parts)) + "\n"


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, in one line."""
    return " ".join(text.split()).translate(SPECIAL)


def _table(table: Table) -> str:
    keys = [name for stack in table.keys for name in stack]
    values = [f"{column} {value}".strip() for column in table.columns for value in table.values]
    header = [escaped(name) for name in (*keys, *values)]
    return "\n".join(
        "| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *map(list, _rows(table)))
    )


def _rows(table: Table) -> Iterator[Iterator[str]]:
    for row in table.marked_rows():
        yield (f"**{escaped(value)}**" if best else escaped(value) for stack in row for value, best in stack)
