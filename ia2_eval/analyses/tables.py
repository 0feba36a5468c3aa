"""Rows as CSV, and the short tables that are printed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol

from rich import box
from rich.table import Table
from rich.text import Text

from ia2_eval.analyses.panels import Place
from ia2_eval.analyses.summaries import OverlapSummary, SimilaritySummary
from ia2_eval.atomic import write_atomically
from ia2_eval.benchmarks import get_benchmark
from ia2_eval.leaderboard.style import Column, column_title
from ia2_eval.leaderboard.table import Section


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
    for name in ("set", "method", "seeds", "similarity [95 %]", "minus SFT [95 %]"):
        table.add_column(name, justify="left" if name in ("set", "method") else "right", no_wrap=name != "set")
    for line in summaries:
        table.add_row(
            Text(Place(line.source, line.eval, line.N).title),
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
    """Subspace overlap of each pair of methods in each place, with the chance level beside it."""
    table = _table(f"Subspace overlap, {DEFINITIONS[definition]} · {section.title}")
    for name in ("set", "pair", "seeds", "overlap [95 %]", "chance"):
        table.add_column(name, justify="left" if name in ("set", "pair") else "right", no_wrap=name != "set")
    for line in summaries:
        pair = (Column(line.method_a, line.variant_a), Column(line.method_b, line.variant_b))
        table.add_row(
            Text(f"{get_benchmark(line.source).title}, N={line.N}"),
            Text(" and ".join(map(column_title, pair))),
            str(line.seeds),
            Text(_interval(line.mean, line.ci_low, line.ci_high)),
            f"{line.chance:.3f}",
        )
    return table


DEFINITIONS = {"product": "column spaces of B A", "lora_B": "left singular vectors of B"}


def _table(title: str) -> Table:
    return Table(
        title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )


def _interval(mean: float, low: float | None, high: float | None, sign: str = "") -> str:
    between = "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
    return f"{mean:{sign}.3f}{between}"
