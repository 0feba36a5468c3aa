"""Records -> tidy rows: one per base, adapter, protocol, source, eval, N, method, variant, metric and selection."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

from ia2_eval.experiments.record import Evaluation
from ia2_eval.leaderboard.results.groups import Candidate, Group, LabelType, evaluation_on
from ia2_eval.leaderboard.results.learning_rate import Selection, chosen_candidates
from ia2_eval.leaderboard.results.summary import IntervalKind, summarise
from ia2_eval.leaderboard.style import Column
from ia2_eval.protocol import Protocol


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of `leaderboard.csv`. None is an empty field: the value does not apply or cannot be known."""

    base: str
    adapter: str  # empty for a method without training
    protocol: Protocol
    source: str
    eval: str
    ood: bool
    N: int | None  # size of the training set; where there is none, as of `no_icl`, every N of the source has the row
    method: str
    variant: str = ""  # empty for the plain method
    label_type: LabelType = ""  # of cross-entropy; empty for methods without labels
    metric: str
    selection: Selection
    learning_rate: float | None
    sft_weight: float | None = None  # of `ia2+sft`
    mean: float
    std: float | None  # sample under `strict`, population under `paper`; None of one seed, 0 of one evaluation without
    ci_low: float | None
    ci_high: float | None
    interval: IntervalKind | None  # what the 95 % interval is over: `t` (seeds), `bootstrap` (examples of one seed)
    seeds: int | None  # those that have the metric; None for a single evaluation without a seed, as of `no_icl`
    seeds_expected: int | None
    n: int  # evaluated examples per seed
    complete: bool  # every expected seed of every candidate is there, and each of this one's has the metric

    @property
    def column(self) -> Column:
        return Column(self.method, self.variant)


TYPES: dict[str, type] = {"bool": bool, "int": int, "float": float}
COLUMNS = {field.name: TYPES.get(str(field.type).split()[0], str) for field in fields(Row)}
"""Of `leaderboard.csv`, with the type of their values."""


def aggregate(groups: Sequence[Group]) -> list[Row]:
    """Rows in a fixed order: as the groups, then eval, metric, selection."""
    return [
        row
        for group in groups
        for sizes in [training_sizes(groups, group)]
        for benchmark in group.evals
        for selection, candidate in chosen_candidates(group, benchmark).items()
        for of_size in [list(_rows(group, benchmark, selection, candidate))]
        for size in sizes
        for row in (of_size if size == group.n else [replace(row, N=size) for row in of_size])
    ]


def training_sizes(groups: Sequence[Group], group: Group) -> list[int | None]:
    """The group's N; where it has none, as for `no_icl`, every N of the same base, protocol and source."""
    if group.n is not None:
        return [group.n]
    sizes = {
        other.n
        for other in groups
        if (other.base, other.protocol, other.source) == (group.base, group.protocol, group.source)
        and other.n is not None
    }
    return [*sorted(sizes)] or [None]


def _rows(group: Group, benchmark: str, selection: Selection, candidate: Candidate) -> Iterator[Row]:
    evaluations = [found for record in group.at(candidate) if (found := evaluation_on(record, benchmark))]
    expected = group.seeds_expected(candidate)
    seedless = group.seedless
    for metric in sorted({name for evaluation in evaluations for name in evaluation.metrics}):
        measured: list[Evaluation] = [evaluation for evaluation in evaluations if metric in evaluation.metrics]
        population = seedless or (group.protocol == "paper" and len(measured) > 1)
        summary = summarise(
            [evaluation.metrics[metric] for evaluation in measured],
            ddof=0 if population else 1,
            bootstrap=measured[0].intervals.get(metric),
        )
        yield Row(
            base=group.base,
            adapter=group.adapter,
            protocol=group.protocol,
            source=group.source,
            eval=benchmark,
            ood=benchmark != group.source,
            N=group.n,
            method=group.method,
            variant=group.variant,
            label_type=group.label_type,
            metric=metric,
            selection=selection,
            learning_rate=candidate.learning_rate,
            sft_weight=candidate.sft_weight,
            **summary._asdict(),
            seeds=None if seedless else len(measured),
            seeds_expected=None if seedless else expected,
            n=measured[0].n,
            complete=not group.missing and len(measured) == expected,
        )


def to_csv(rows: Sequence[Row]) -> str:
    """CSV with a header. Numbers in full precision; None is an empty field, so numeric columns hold numbers only."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([getattr(row, name) for name in COLUMNS] for row in rows)
    return text.getvalue()


def to_parquet(rows: Sequence[Row]) -> bytes:
    """The same columns as Parquet; None is null."""
    import pyarrow
    import pyarrow.parquet

    types = {str: pyarrow.string(), bool: pyarrow.bool_(), int: pyarrow.int64(), float: pyarrow.float64()}
    schema = pyarrow.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    columns = {name: [getattr(row, name) for row in rows] for name in COLUMNS}
    content = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.table(columns, schema=schema), content)
    return bytes(content.getvalue())
