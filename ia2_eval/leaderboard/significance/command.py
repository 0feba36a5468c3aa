"""`ia2-eval leaderboard compare`: records -> comparisons as CSV, Markdown page and forest plots."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path

from rich.console import Console
from rich.text import Text

from ia2_eval.atomic import write_atomically
from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.leaderboard.figures.write import Drawing, write_figures
from ia2_eval.leaderboard.results.groups import group_records
from ia2_eval.leaderboard.results.results import read_results
from ia2_eval.leaderboard.significance.compare import Compared, Pair, compare
from ia2_eval.leaderboard.significance.comparison import Comparison
from ia2_eval.leaderboard.significance.forest_plot import forest_figure
from ia2_eval.leaderboard.significance.summary import print_comparisons
from ia2_eval.leaderboard.significance.tables import comparison_tables
from ia2_eval.leaderboard.significance.tidy import to_csv
from ia2_eval.leaderboard.style import Column, column_order, column_styles, column_title, method_title
from ia2_eval.leaderboard.tables.markdown import to_markdown
from ia2_eval.leaderboard.tables.table import Section, sections

ALL_PAIRS = 6
"""Columns, up to which each is compared with each: the correction grows with the number of pairs."""

REFERENCES = ("sft", "icl", "no_icl")
"""What more columns are compared with: the first of these that is there."""


def compare_command(
    directories: Sequence[Path], methods: Sequence[str], against: Sequence[str], out: Path | None, console: Console
) -> int:
    """Writes `comparisons.csv`, `comparisons.md` and a forest plot per pair, prints the tables; gives the exit status.

    Args:
        directories: of runs, or of lm-eval's results.
        methods: only comparisons of these; none: of all.
        against: with these; none: with all.
        out: where to write; by default `comparisons/` in the directory, if it is one.
        console: to print to.

    Raises:
        UserError: a method that is not there, nothing to compare, several directories without `out`, or no results.
    """
    if out is None and len(directories) != 1:
        raise UserError(
            f"comparisons of {len(directories)} directories need a place of their own: give --out DIRECTORY"
        )
    out = out or directories[0] / "comparisons"
    results = read_results(directories)
    groups, group_notes = group_records(results.records, results.plan)
    columns = sorted({group.column for group in groups}, key=column_order)
    compared = compare(results, groups, choose_pairs(columns, methods, against))
    if not compared.comparisons and not results.faults and not compared.faults:
        if not any(group.records for group in groups):
            raise UserError("nothing to compare: no cell has finished yet")
        reasons = "; ".join(compared.notes) or "no place has finished cells of both"
        raise UserError(f"nothing to compare: {reasons}")
    tables = comparison_tables(compared.comparisons)
    figures = write_figures(_drawings(compared.comparisons, out, columns))
    _remove_stale(figures, [_folder(out, section) for section in sections(groups)])
    faults = (*results.faults, *compared.faults)
    notes = (*results.notes, *group_notes, *compared.notes, *_cautions(compared))
    remarks = [(heading, lines) for heading, lines in (("Faulty files", faults), ("Notes", notes)) if lines]
    pictures = [path.relative_to(out).as_posix() for path in figures if path.suffix == ".png"]
    written = [
        write_atomically(out / "comparisons.csv", to_csv(compared.comparisons).encode()),
        write_atomically(out / "comparisons.md", to_markdown("Comparisons", tables, remarks, pictures).encode()),
    ]
    print_comparisons(compared.comparisons, console)
    for heading, lines in remarks:
        console.print(Text(f"{heading}:", style="bold"))
        for line in lines:
            console.print(Text(f"  {line}"), soft_wrap=True)
    for path in dict.fromkeys([*written, *(path.parent for path in figures)]):
        console.print(Text(str(path), style="dim"), soft_wrap=True)
    return 1 if faults else 0


def choose_pairs(columns: Sequence[Column], methods: Sequence[str], against: Sequence[str]) -> list[Pair]:
    """Pairs of columns: always the later one in table order with the earlier one, so that a difference has the same
    sign in every call, unless both what is compared and with what are asked for.

    Args:
        columns: those that there are, in table order.
        methods: what is compared, by the name or the title of a method, every variant of it, or by the title of one
            column; none: every column.
        against: what it is compared with, likewise. With neither, each is compared with each, or, of more than
            `ALL_PAIRS` columns, with the plain form of the first of `REFERENCES`.

    Raises:
        UserError: a method that is not among the columns, fewer than two columns, or a column and itself.
    """
    left, right = _named(columns, methods), _named(columns, against)
    if not methods and not against and len(columns) > ALL_PAIRS:
        right = [next((c for name in REFERENCES for c in columns if c.method == name), columns[0])]
    pairs: list[Pair] = []
    for one, other in product(left, right):
        asked = methods and against and not (one in right and other in left)
        later, earlier = sorted((one, other), key=columns.index, reverse=True)
        pair = (one, other) if asked else (later, earlier)
        if one != other and pair not in pairs:
            pairs.append(pair)
    if pairs:
        return pairs
    if methods and against:
        raise UserError(f"--method and --against are both {column_title(left[0])}: give another method in one of them")
    there = ", ".join(map(column_title, columns)) or "nothing"
    raise UserError(f"a comparison needs two columns, there is {there}: add a method, or the directory of its run")


def _named(columns: Sequence[Column], names: Sequence[str]) -> list[Column]:
    """The columns of these names, in table order; all of them where none is given."""
    names_of = {column: (column.method, method_title(column.method), column_title(column)) for column in columns}
    known = list(dict.fromkeys(name for of_column in names_of.values() for name in of_column))
    for name in names:
        if name not in known:
            raise UserError(f"no results of method {name!r}.{did_you_mean(name, known)}")
    return [column for column in columns if not names or not set(names).isdisjoint(names_of[column])]


def _drawings(comparisons: Sequence[Comparison], out: Path, columns: Sequence[Column]) -> Iterator[Drawing]:
    styles = column_styles(columns)
    for section, method, against in dict.fromkeys((c.section, c.method, c.against) for c in comparisons):
        shown = [c for c in comparisons if (c.section, c.method, c.against) == (section, method, against)]
        folder = _folder(out, section)
        name = _file_name("_vs_".join("_".join(filter(None, column)) for column in (method, against)))
        yield Drawing(partial(forest_figure, shown, styles[method]), folder / name)


def _folder(out: Path, section: Section) -> Path:
    """Of the figures of a section."""
    return out / _file_name("_".join(filter(None, section)))


def _remove_stale(written: Sequence[Path], folders: Sequence[Path]) -> None:
    """Removes the figures of pairs that an earlier call drew and this one did not."""
    for folder in folders:
        stale = {path for suffix in (".png", ".svg") for path in folder.glob(f"*_vs_*{suffix}")} - set(written)
        for path in stale:
            path.unlink()
        if stale and not any(folder.iterdir()):
            folder.rmdir()


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", text)


def _cautions(compared: Compared) -> Iterator[str]:
    """What the numbers of seeds and datasets do not let be told."""
    accuracies = [comparison for comparison in compared.comparisons if comparison.metric == "acc"]
    at_places = [comparison for comparison in accuracies if comparison.scope == "place"]
    single = sum(comparison.seeds == 1 for comparison in at_places)
    if single:
        yield (
            f"one seed in {single} of {len(at_places)} comparisons: that tells whether these two checkpoints differ on"
            " examples like these. Whether the methods do cannot be told, nor how many seeds it would take"
        )
    few = sum(comparison.seeds == 2 for comparison in at_places)
    if few:
        yield (
            f"two seeds in {few} of {len(at_places)} comparisons, too few to know the spread over seeds, so they speak"
            " of these checkpoints only; comparisons.csv has the tests over seeds"
        )
    if at_places and len(at_places) == len(accuracies):
        yield "one dataset only: nothing can be told about others"
