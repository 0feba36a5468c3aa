"""Rows as CSV, and the short tables that are printed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar, Protocol

from rich import box
from rich.table import Table
from rich.text import Text

from ia2_eval.analyses.panels import Place
from ia2_eval.analyses.summaries import OverlapSummary, SimilaritySummary
from ia2_eval.atomic import write_atomically
from ia2_eval.benchmarks import get_benchmark
from ia2_eval.leaderboard.style import column_title
from ia2_eval.leaderboard.tables.table import Section


class Line(Protocol):
    """Any dataclass of numbers, strings and None."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


def write_csv(path: Path, kind: type[Line], lines: Iterable[Line]) -> Path:
    """A header, and a line for each. Numbers in full precision; None is an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(kind)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(line) for line in lines)
    return write_atomically(path, text.getvalue().encode())


def similarity_table(section: Section, mode: str, summaries: Sequence[SimilaritySummary]) -> Table:
    """Similarity to ICL of each method in each place, and its difference to SFT of the same seeds."""
    table = _table(f"Similarity to ICL, {mode.replace('_', ' ')} · {section.title}")
    counts = sorted({line.n for line in summaries})
    table.caption = f"over the first {' or '.join(map(str, counts))} evaluation examples"
    for name in ("method", "seeds", "similarity [95 %]", "minus SFT [95 %]"):
        _add_column(table, name, name != "method")
    place = None
    for line in summaries:
        if place != (place := Place(line.source, line.eval, line.N)):
            table.add_section()
            table.add_row(Text(place.title, style="bold"))
        table.add_row(
            Text(column_title(line.column)),
            str(line.seeds),
            Text(_interval(line.mean, line.ci_low, line.ci_high)),
            Text(
                ""
                if line.minus_sft is None
                else _interval(line.minus_sft, line.minus_sft_low, line.minus_sft_high, "+")
            ),
        )
    return table


def overlap_table(section: Section, definition: str, summaries: Sequence[OverlapSummary]) -> Table:
    """Mean subspace overlap over seeds: a row for each pair of methods; columns for each set where there are at most
    `SETS`, for their mean, and for the chance level."""
    table = _table(f"Subspace overlap, {DEFINITIONS[definition]} · {section.title}")
    sets = list(dict.fromkeys((line.source, line.N) for line in summaries))
    shown = sets if len(sets) <= SETS else []
    seeds = sorted({line.seeds for line in summaries})
    table.caption = f"means over {' or '.join(map(str, seeds))} seeds; intervals and every set: overlap_summary.csv"
    _add_column(table, "pair", figures=False)
    for source, n in shown:
        _add_column(table, f"{get_benchmark(source).title}\nN={n}")
    for name in (f"mean of\n{len(sets)} sets",) * (len(sets) > 1) + ("chance",):
        _add_column(table, name)
    for columns in dict.fromkeys(line.columns for line in summaries):
        lines = [line for line in summaries if line.columns == columns]
        values = [
            [s.mean for s in lines if (s.source, s.N) == of] for of in shown
        ]  # of each set: under `paper` several
        values += [[line.mean for line in lines]] * (len(sets) > 1)
        table.add_row(
            Text(" and ".join(map(column_title, columns))),
            *(f"{fmean(of_set):.3f}" if of_set else "" for of_set in values),
            f"{fmean(line.chance for line in lines):.3f}",
        )
    return table


SETS = 5
"""Sets beyond which a table of overlaps has their mean only."""
DEFINITIONS = {"product": "column spaces of B A", "lora_B": "left singular vectors of B"}


def _table(title: str) -> Table:
    return Table(
        title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )


def _add_column(table: Table, name: str, figures: bool = True) -> None:
    """Names are broken where there is little room, figures never are."""
    width = max(map(len, name.splitlines())) if figures else None
    table.add_column(name, justify="right" if figures else "left", no_wrap=figures, min_width=width, vertical="top")


def _interval(mean: float, low: float | None, high: float | None, sign: str = "") -> str:
    between = "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
    return f"{mean:{sign}.3f}{between}"
