"""Cells that belong to one entry of the table: they differ in seed and in what is chosen, the learning rate, only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Literal, NamedTuple

from ia2_eval.benchmarks import BENCHMARKS, get_benchmark
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.record import Evaluation, Record
from ia2_eval.leaderboard.results.headline import Headline, have_published, headline
from ia2_eval.leaderboard.results.settings import (
    EVALUATION_SETTING,
    GROUP_FIELDS,
    TRAINING_SETTING,
    latest_setting,
    one_base_per_fingerprint,
    values_of,
    without_repetitions,
)
from ia2_eval.leaderboard.style import Column, column_order
from ia2_eval.lm.base_model import Base, short_name
from ia2_eval.protocol import Protocol

LabelType = Literal["", "ground_truth", "icl_outputs"]
"""What cross-entropy is trained on; "" for methods that read no labels, or of which that is not known."""

LABEL_TYPES: tuple[LabelType, ...] = ("ground_truth", "icl_outputs")
OF_CHOICE = ("sft", "ia2_sft", "sft_ia2")
"""Methods whose labels a recipe chooses; the right ones by default."""
OF_TEACHER = ("ia2+sft", "soft_sft")
"""Methods whose labels are what ICL answers, whatever a recipe says."""


class Candidate(NamedTuple):
    """What is chosen for a method. Methods without a choice have one candidate, of Nones."""

    learning_rate: float | None
    sft_weight: float | None
    """Candidates of one group differ in it under `paper` only. Elsewhere each weight is a variant, with a group of its
    own: the weight is part of the dev loss, so dev losses of two weights cannot be compared."""

    @classmethod
    def of(cls, cell: Cell) -> Candidate:
        return cls(cell.learning_rate, cell.sft_weight)

    @property
    def order(self) -> tuple[float, float]:
        return self.learning_rate or 0.0, self.sft_weight or 0.0


@dataclass(frozen=True)
class Group:
    """All cells of one base, adapter, protocol, source, N, method and variant of it."""

    base: str
    adapter: str  # "" for a method without training
    protocol: Protocol
    source: str
    n: int | None
    method: str
    variant: str  # "" for the plain method
    evals: tuple[str, ...]
    expected: tuple[tuple[Candidate, int | None], ...]  # candidate and seed of each cell that should be there
    records: tuple[Record, ...]  # finished ones; of lm-eval's results a cell may have several, of a benchmark each
    failed: int  # cells whose record is that of a failure
    published: bool
    """Whether every result of this base under this protocol has the published quantities. Alike for all of them, as ICL
    stands in the tables of all adapters: no table compares one accuracy with another."""
    label_type: LabelType = ""

    @property
    def trained(self) -> bool:
        return self.adapter != ""

    @property
    def column(self) -> Column:
        return Column(self.method, self.variant)

    @property
    def seedless(self) -> bool:
        """Whether it is a single evaluation: of the base as it is, or of an adapter of which no seed is known."""
        return all(seed is None for _, seed in self.expected)

    @property
    def place(self) -> str:
        """All but the method, such as `tiny · SST2 N=4 (strict, lora_r8_a8_qko)`."""
        size = "" if self.n is None else f" N={self.n}"
        setting = ", ".join(filter(None, (self.protocol, self.adapter)))
        return f"{self.base} · {get_benchmark(self.source).title}{size} ({setting})"

    @property
    def missing(self) -> int:
        """Number of expected cells that have not finished well."""
        return len(self.expected) - len({(Candidate.of(record.cell), record.cell.seed) for record in self.records})

    def headline(self, benchmark: str) -> Headline:
        """What is reported of it on a benchmark."""
        return headline(self.protocol, get_benchmark(benchmark).single_token, self.published)

    def at(self, candidate: Candidate) -> list[Record]:
        """Finished records of one candidate, by seed."""
        found = [record for record in self.records if Candidate.of(record.cell) == candidate]
        return sorted(found, key=lambda record: record.cell.seed or 0)

    def seeds_expected(self, candidate: Candidate) -> int:
        return sum(expected == candidate for expected, _ in self.expected)


class Grouped(NamedTuple):
    groups: tuple[Group, ...]
    notes: tuple[str, ...]


def group_records(
    records: Iterable[Record],
    plan: Mapping[str, Cell] | None = None,
    name: Callable[[str], str] = "records/{}.json".format,
) -> Grouped:
    """Groups in table order, of finished, failed and planned cells.

    Results of different settings are never averaged. Where a run's directory holds several (another limit, other
    data, other epochs), the setting that was planned last counts, without a plan that of the newest record, and a
    note tells which records were left out.

    Args:
        records: finished and failed ones.
        plan: planned cells by key, oldest first. Without one, every seed that is seen for a base, protocol, source
            and N is expected of every method and candidate that is seen there.
        name: of the file of a record, by its key, for notes.
    """
    by_key = {record.key: record for record in sorted(records, key=lambda record: record.provenance.created)}
    recorded = {key: record.cell for key, record in by_key.items() if key not in (plan or {})}
    cells = one_base_per_fingerprint(recorded | dict(plan or {}))
    names = {key: name(key) for key in by_key}
    cells, notes = latest_setting(cells, names, ("base", "protocol", "source"), EVALUATION_SETTING)
    cells, more = latest_setting(cells, names, GROUP_FIELDS, TRAINING_SETTING)
    labels = base_labels(cell.base for cell in cells.values())
    members: dict[tuple[Hashable, ...], dict[str, Cell]] = defaultdict(dict)
    seeds: dict[tuple[Hashable, ...], set[int | None]] = defaultdict(set)
    evaluations: dict[tuple[str, Protocol], list[Evaluation]] = defaultdict(list)
    for key, cell in cells.items():
        members[values_of(cell, GROUP_FIELDS)][key] = cell
        seeds[cell.base, cell.protocol, cell.source, cell.n].add(cell.seed)
        if key in by_key and by_key[key].status == "ok":
            evaluations[labels[cell.base], cell.protocol] += by_key[key].evaluations
    published = {place: have_published(found) for place, found in evaluations.items()}
    groups = []
    repeated: list[str] = []
    for group in members.values():
        cell = next(iter(group.values()))
        expected = {(Candidate.of(cell), cell.seed) for cell in group.values()}
        if plan is None:
            seen = seeds[cell.base, cell.protocol, cell.source, cell.n]
            expected = set(product({candidate for candidate, _ in expected}, seen))
        found = [by_key[key] for key in group if key in by_key]
        finished, left_out = without_repetitions([record for record in found if record.status == "ok"], names)
        repeated += left_out
        groups.append(
            Group(
                base=labels[cell.base],
                adapter=cell.adapter.label if cell.adapter else "",
                protocol=cell.protocol,
                source=cell.source,
                n=cell.n,
                method=cell.method,
                variant=cell.variant,
                evals=_evals(group.values()),
                expected=tuple(sorted(expected, key=lambda pair: (pair[0].order, pair[1] or 0))),
                records=finished,
                failed=sum(record.status == "failed" for record in found),
                published=published.get((labels[cell.base], cell.protocol), False),
                label_type=label_type(cell),
            )
        )
    if repeated:
        more.append(
            f"{len(repeated)} cells of lm-eval have results that a run, or a newer file, has, too: those are left out "
            f"(first: {repeated[0]})"
        )
    return Grouped(tuple(sorted(groups, key=_table_order)), (*notes, *more))


def label_type(cell: Cell) -> LabelType:
    """What the cell's method trains cross-entropy on."""
    default: LabelType = "ground_truth" if cell.method in OF_CHOICE else ""
    return "icl_outputs" if cell.method in OF_TEACHER else cell.labels or default


def evaluation_on(record: Record, benchmark: str) -> Evaluation | None:
    """The record's evaluation on a benchmark; None where it has none."""
    return next((evaluation for evaluation in record.evaluations if evaluation.eval == benchmark), None)


def base_labels(bases: Iterable[Base]) -> dict[Base, str]:
    """Shortest label that tells the bases apart: the model's name, then revision, dtype and fingerprint if needed."""
    distinct = set(bases)
    labels: dict[Base, str] = {}
    for depth in range(4):
        labels = {base: _base_label(base, depth) for base in distinct}
        if len(set(labels.values())) == len(distinct):
            break
    return labels


def _base_label(base: Base, depth: int) -> str:
    details = [(base.revision or "local")[:8], base.dtype, base.fingerprint[:8]]
    return " ".join([short_name(base.model), *details[:depth]])


def _evals(cells: Iterable[Cell]) -> tuple[str, ...]:
    """Of all cells: alike in a run, while lm-eval's results may be of one benchmark each."""
    first, *others = dict.fromkeys(cell.evals for cell in cells)
    if not others:
        return first
    return tuple(sorted({*first, *(name for evals in others for name in evals)}, key=list(BENCHMARKS).index))


def _table_order(group: Group) -> tuple[object, ...]:
    source = list(BENCHMARKS).index(group.source)
    return group.base, group.protocol, group.adapter, group.n or 0, source, column_order(group.column)
