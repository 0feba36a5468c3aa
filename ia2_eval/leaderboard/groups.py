"""Records that belong to one cell of the table: they differ in seed and learning rate only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import NamedTuple

from ia2_eval.benchmarks import BENCHMARKS
from ia2_eval.experiments.cell import Cell, Method
from ia2_eval.experiments.record import Evaluation, Record
from ia2_eval.leaderboard.style import METHODS
from ia2_eval.lm.base_model import Base
from ia2_eval.protocol import Protocol


@dataclass(frozen=True)
class Group:
    """All records of one base, adapter, protocol, source, N and method."""

    base: str
    adapter: str  # "" for a method without training
    protocol: Protocol
    source: str
    n: int | None
    method: Method
    evals: tuple[str, ...]
    seeds: tuple[int | None, ...]  # expected: every seed seen for this base, protocol, source and N, failed cells too
    learning_rates: tuple[float | None, ...]  # seen, failed cells too; (None,) for a method without training
    records: tuple[Record, ...]  # finished ones

    @property
    def trained(self) -> bool:
        return self.adapter != ""

    @property
    def label(self) -> str:
        size = "" if self.n is None else f" N={self.n}"
        return f"{self.source}{size} {self.method} ({self.protocol}, {self.base})"

    def at(self, learning_rate: float | None) -> list[Record]:
        """Finished records at one learning rate, by seed."""
        found = [record for record in self.records if record.cell.learning_rate == learning_rate]
        return sorted(found, key=lambda record: record.cell.seed or 0)

    def missing(self) -> list[tuple[float | None, list[int | None]]]:
        """Learning rates with the seeds they lack, for the learning rates that lack any."""
        lacking = []
        for rate in self.learning_rates:
            there = {record.cell.seed for record in self.at(rate)}
            lacking.append((rate, [seed for seed in self.seeds if seed not in there]))
        return [(rate, seeds) for rate, seeds in lacking if seeds]


GROUP_FIELDS = ("base", "adapter", "protocol", "source", "n", "method")
EVALUATION_SETTING = ("version", "limit", "data", "evals")
TRAINING_SETTING = tuple(
    name for name in Cell.model_fields if name not in (*GROUP_FIELDS, *EVALUATION_SETTING, "seed", "learning_rate")
)


class Grouped(NamedTuple):
    groups: tuple[Group, ...]
    notes: tuple[str, ...]


def group_records(records: Iterable[Record]) -> Grouped:
    """Groups in table order, from finished and failed records.

    Results of different settings are never averaged. Where a run's directory holds several (another limit, other
    data, other epochs), the setting of the newest record counts and a note tells what was left out.
    """
    kept, notes = _newest_setting(list(records), ("base", "protocol", "source"), EVALUATION_SETTING)
    kept, more = _newest_setting(kept, GROUP_FIELDS, TRAINING_SETTING)
    labels = base_labels(record.cell.base for record in kept)
    members: dict[tuple[Hashable, ...], list[Record]] = defaultdict(list)
    seeds: dict[tuple[Hashable, ...], set[int | None]] = defaultdict(set)
    for record in kept:
        cell = record.cell
        members[cell.base, cell.adapter, cell.protocol, cell.source, cell.n, cell.method].append(record)
        seeds[cell.base, cell.protocol, cell.source, cell.n].add(cell.seed)
    groups = []
    for group in members.values():
        cell = group[0].cell
        groups.append(
            Group(
                base=labels[cell.base],
                adapter=cell.adapter.label if cell.adapter else "",
                protocol=cell.protocol,
                source=cell.source,
                n=cell.n,
                method=cell.method,
                evals=cell.evals,
                seeds=tuple(sorted(seeds[cell.base, cell.protocol, cell.source, cell.n], key=lambda seed: seed or 0)),
                learning_rates=tuple(sorted({r.cell.learning_rate for r in group}, key=lambda rate: rate or 0.0)),
                records=tuple(record for record in group if record.status == "ok"),
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


def _newest_setting(
    records: Sequence[Record], scope: tuple[str, ...], setting: tuple[str, ...]
) -> tuple[list[Record], list[str]]:
    """Keeps, within each scope, the records whose setting is that of the newest record."""

    def fields(record: Record, names: tuple[str, ...]) -> tuple[Hashable, ...]:
        return tuple(getattr(record.cell, name) for name in names)

    newest = {}
    for record in sorted(records, key=lambda record: record.provenance.created):
        newest[fields(record, scope)] = fields(record, setting)
    kept, left_out = [], defaultdict(list)
    for record in records:
        wanted, own = newest[fields(record, scope)], fields(record, setting)
        if own == wanted:
            kept.append(record)
        else:
            changes = ", ".join(
                f"{name} {old} instead of {new}"
                for name, old, new in zip(setting, own, wanted, strict=True)
                if old != new
            )
            left_out[f"{record.cell.source} ({record.cell.protocol}): {changes}"].append(record.key)
    return kept, [
        f"{reason}: {len(keys)} records of the older setting left out (first: records/{keys[0]}.json)"
        for reason, keys in left_out.items()
    ]


def _table_order(group: Group) -> tuple[str, str, str, int, int, int]:
    source = list(BENCHMARKS).index(group.source)
    return group.base, group.protocol, group.adapter, group.n or 0, source, list(METHODS).index(group.method)
