"""Cells that belong to one entry of the table: they differ in seed and in what is chosen, the learning rate, only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import PurePath
from typing import NamedTuple

from ia2_eval.benchmarks import BENCHMARKS, get_benchmark
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.method_options import MethodVariant
from ia2_eval.experiments.record import Evaluation, Record
from ia2_eval.leaderboard.results.headline import Headline, have_published, headline
from ia2_eval.leaderboard.style import Column, column_order
from ia2_eval.lm.base_model import Base
from ia2_eval.protocol import Protocol


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
    records: tuple[Record, ...]  # finished ones
    failed: int  # cells whose record is that of a failure
    published: bool
    """Whether every result of this base under this protocol has the published quantities. Alike for all of them, as ICL
    stands in the tables of all adapters: no table compares one accuracy with another."""

    @property
    def trained(self) -> bool:
        return self.adapter != ""

    @property
    def column(self) -> Column:
        return Column(self.method, self.variant)

    @property
    def place(self) -> str:
        """All but the method, such as `tiny · SST2 N=4 (strict, lora_r8_a8_qko)`."""
        size = "" if self.n is None else f" N={self.n}"
        setting = ", ".join(filter(None, (self.protocol, self.adapter)))
        return f"{self.base} · {get_benchmark(self.source).title}{size} ({setting})"

    @property
    def missing(self) -> int:
        """Number of expected cells that have not finished well."""
        return len(self.expected) - len(self.records)

    def headline(self, benchmark: str) -> Headline:
        """What is reported of it on a benchmark."""
        return headline(self.protocol, get_benchmark(benchmark).single_token, self.published)

    def at(self, candidate: Candidate) -> list[Record]:
        """Finished records of one candidate, by seed."""
        found = [record for record in self.records if Candidate.of(record.cell) == candidate]
        return sorted(found, key=lambda record: record.cell.seed or 0)

    def seeds_expected(self, candidate: Candidate) -> int:
        return sum(expected == candidate for expected, _ in self.expected)


GROUP_FIELDS = ("base", "adapter", "protocol", "source", "n", "method", "variant")
EVALUATION_SETTING = ("version", "limit", "data", "evals")
TRAINING_SETTING = tuple(  # the options of a method are in its variant
    name
    for name in Cell.model_fields
    if name not in (*GROUP_FIELDS, *MethodVariant.model_fields, *EVALUATION_SETTING, "seed", "learning_rate")
)


class Grouped(NamedTuple):
    groups: tuple[Group, ...]
    notes: tuple[str, ...]


def group_records(records: Iterable[Record], plan: Mapping[str, Cell] | None = None) -> Grouped:
    """Groups in table order, of finished, failed and planned cells.

    Results of different settings are never averaged. Where a run's directory holds several (another limit, other
    data, other epochs), the setting that was planned last counts, without a plan that of the newest record, and a
    note tells which records were left out.

    Args:
        records: finished and failed ones.
        plan: planned cells by key, oldest first. Without one, every seed that is seen for a base, protocol, source
            and N is expected of every method and candidate that is seen there.
    """
    by_key = {record.key: record for record in sorted(records, key=lambda record: record.provenance.created)}
    recorded = {key: record.cell for key, record in by_key.items() if key not in (plan or {})}
    cells = _one_base_per_fingerprint(recorded | dict(plan or {}))
    cells, notes = _latest_setting(cells, by_key.keys(), ("base", "protocol", "source"), EVALUATION_SETTING)
    cells, more = _latest_setting(cells, by_key.keys(), GROUP_FIELDS, TRAINING_SETTING)
    labels = base_labels(cell.base for cell in cells.values())
    members: dict[tuple[Hashable, ...], dict[str, Cell]] = defaultdict(dict)
    seeds: dict[tuple[Hashable, ...], set[int | None]] = defaultdict(set)
    evaluations: dict[tuple[str, Protocol], list[Evaluation]] = defaultdict(list)
    for key, cell in cells.items():
        members[_fields(cell, GROUP_FIELDS)][key] = cell
        seeds[cell.base, cell.protocol, cell.source, cell.n].add(cell.seed)
        if key in by_key and by_key[key].status == "ok":
            evaluations[labels[cell.base], cell.protocol] += by_key[key].evaluations
    published = {place: have_published(found) for place, found in evaluations.items()}
    groups = []
    for group in members.values():
        cell = next(iter(group.values()))
        expected = {(Candidate.of(cell), cell.seed) for cell in group.values()}
        if plan is None:
            seen = seeds[cell.base, cell.protocol, cell.source, cell.n]
            expected = set(product({candidate for candidate, _ in expected}, seen))
        found = [by_key[key] for key in group if key in by_key]
        groups.append(
            Group(
                base=labels[cell.base],
                adapter=cell.adapter.label if cell.adapter else "",
                protocol=cell.protocol,
                source=cell.source,
                n=cell.n,
                method=cell.method,
                variant=cell.variant,
                evals=cell.evals,
                expected=tuple(sorted(expected, key=lambda pair: (pair[0].order, pair[1] or 0))),
                records=tuple(record for record in found if record.status == "ok"),
                failed=sum(record.status == "failed" for record in found),
                published=published.get((labels[cell.base], cell.protocol), False),
            )
        )
    return Grouped(tuple(sorted(groups, key=_table_order)), (*notes, *more))


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
    # A local directory is named by its last part: a path of this machine means nothing to the reader.
    model = PurePath(base.model)
    name = model.name if model.is_absolute() else base.model
    details = [(base.revision or "local")[:8], base.dtype, base.fingerprint[:8]]
    return " ".join([name, *details[:depth]])


def _one_base_per_fingerprint(cells: Mapping[str, Cell]) -> dict[str, Cell]:
    """The same files under another path are the same base, as in the key of a cell."""
    bases: dict[Hashable, Base] = {}

    def same(base: Base) -> Base:
        return bases.setdefault((base.dtype, base.fingerprint) if base.fingerprint else base, base)

    return {key: cell.model_copy(update={"base": same(cell.base)}) for key, cell in cells.items()}


def _fields(cell: Cell, names: tuple[str, ...]) -> tuple[Hashable, ...]:
    return tuple(getattr(cell, name) for name in names)


def _latest_setting(
    cells: Mapping[str, Cell], recorded: Collection[str], scope: tuple[str, ...], setting: tuple[str, ...]
) -> tuple[dict[str, Cell], list[str]]:
    """Keeps, within each scope, the cells whose setting is that of the last one; notes on the records of the others."""
    latest = {_fields(cell, scope): _fields(cell, setting) for cell in cells.values()}
    kept, left_out = {}, defaultdict(list)
    for key, cell in cells.items():
        wanted, own = latest[_fields(cell, scope)], _fields(cell, setting)
        if own == wanted:
            kept[key] = cell
        elif key in recorded:
            changes = ", ".join(
                f"{name} {old} instead of {new}"
                for name, old, new in zip(setting, own, wanted, strict=True)
                if old != new
            )
            left_out[f"{cell.source} ({cell.protocol}): {changes}"].append(key)
    return kept, [
        f"{reason}: {len(keys)} records of the older setting left out (first: records/{keys[0]}.json)"
        for reason, keys in left_out.items()
    ]


def _table_order(group: Group) -> tuple[object, ...]:
    source = list(BENCHMARKS).index(group.source)
    return group.base, group.protocol, group.adapter, group.n or 0, source, column_order(group.column)
