"""Subspace overlap of the adapters that different methods trained on the same data. Reads adapters and records only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import combinations, groupby
from pathlib import Path
from statistics import fmean
from typing import NamedTuple, get_args

from ia2_eval.analyses.lora_files import Factors, Module, read_lora
from ia2_eval.analyses.reported import Reported, reported_runs
from ia2_eval.analyses.subspace import Definition, chance_level, column_space, overlap
from ia2_eval.errors import UserError
from ia2_eval.experiments.record import Record
from ia2_eval.experiments.store import Store
from ia2_eval.leaderboard.results.groups import Group
from ia2_eval.leaderboard.style import Column, column_title
from ia2_eval.protocol import Protocol


@dataclass(frozen=True)
class Pair:
    """Two adapters of the same base, kind, training set and seed. `a` and `b` are in table order."""

    base: str
    adapter: str
    protocol: Protocol
    source: str
    N: int
    seed: int
    method_a: str
    variant_a: str  # empty for the plain method
    method_b: str
    variant_b: str
    learning_rate_a: float
    learning_rate_b: float
    key_a: str  # adapters/<key>
    key_b: str
    evals: str  # benchmarks for which both are the reported adapters

    @property
    def columns(self) -> tuple[Column, Column]:
        """The two methods, as a table names them."""
        return Column(self.method_a, self.variant_a), Column(self.method_b, self.variant_b)

    @property
    def label(self) -> str:
        a, b = map(column_title, self.columns)
        return f"{self.source} N={self.N} seed {self.seed}: {a} and {b}"


@dataclass(frozen=True)
class PairOverlap(Pair):
    """One line of `overlap.csv`."""

    definition: Definition
    overlap: float  # mean over layers and matrices
    chance: float
    matrices: int  # that the means are over


@dataclass(frozen=True)
class MatrixOverlap(Pair):
    """One line of `overlap_by_matrix.csv`."""

    definition: Definition
    layer: int | None
    matrix: str
    rank_a: int  # 0 where the adapter leaves the matrix as it is
    rank_b: int
    overlap: float | None  # None where one of the ranks is 0
    chance: float | None


class Overlaps(NamedTuple):
    pairs: tuple[PairOverlap, ...]
    matrices: tuple[MatrixOverlap, ...]
    notes: tuple[str, ...]
    """What has no overlap, and why."""
    faults: tuple[str, ...]
    """Adapters that cannot be used."""


def own_definition(protocol: Protocol) -> Definition:
    """The definition that a protocol reports."""
    return "lora_B" if protocol == "paper" else "product"


def measure_overlaps(run_directory: Path, groups: Sequence[Group]) -> Overlaps:
    """Every two methods of the same base, adapter, protocol, source, N and seed, each at its reported learning rate.

    A pair of adapters counts once, whatever the number of evaluation sets; the published code counts it once for each.
    """
    store = Store(run_directory)

    @lru_cache(maxsize=8)
    def read(key: str) -> dict[Module, Factors]:
        try:
            return read_lora(store.adapter_path(key))
        except UserError as error:
            raise UserError(
                f"{labels[key]}: adapters/{key}: {error}. Delete it and records/{key}.json; "
                f"`ia2-eval run RECIPE.yaml --out {run_directory}` then trains it anew."
            ) from error

    pairs: list[PairOverlap] = []
    matrices: list[MatrixOverlap] = []
    notes: dict[str, None] = {}
    faults: dict[str, None] = {}
    low_rank = []
    for reported in reported_runs(groups):
        adapter = reported.records[0].cell.adapter
        if adapter is not None and adapter.type == "lora":
            low_rank.append(reported)
        else:
            place = f"{reported.group.base} · {reported.group.adapter}"
            notes[f"{place}: left out, these adapters have no low-rank subspace"] = None
    labels = {record.key: record.cell.label for reported in low_rank for record in reported.records}
    for pair in _pairs(low_rank):
        try:
            left, right = (read(key) for key in (pair.key_a, pair.key_b))
            _require_same_matrices(pair, left, right)
        except UserError as error:
            faults[str(error)] = None
            continue
        for definition in get_args(Definition):
            found = list(_compare(pair, left, right, definition))
            matrices += found
            overlaps = [row.overlap for row in found if row.overlap is not None]
            chances = [row.chance for row in found if row.chance is not None]
            if overlaps:
                pairs.append(
                    PairOverlap(
                        **asdict(pair),
                        definition=definition,
                        overlap=fmean(overlaps),
                        chance=fmean(chances),
                        matrices=len(overlaps),
                    )
                )
            else:
                notes[f"{pair.label} have no overlap: one of them changes nothing"] = None
    return Overlaps(tuple(pairs), tuple(matrices), tuple(notes), tuple(faults))


def _pairs(reported: Sequence[Reported]) -> Iterator[Pair]:
    def place(r: Reported) -> tuple[str, str, str, int, str]:
        return r.group.base, r.group.protocol, r.group.adapter, r.group.n or 0, r.group.source

    for _, members in groupby(sorted(reported, key=place), key=place):  # a stable sort: methods stay in table order
        for left, right in combinations(members, 2):
            evals = [name for name in left.evals if name in right.evals]
            if left.group is right.group or not evals:
                continue
            others = {record.cell.seed: record for record in right.records}
            for record in left.records:
                if record.cell.seed in others:
                    yield _pair(left.group, record, others[record.cell.seed], " ".join(evals))


def _pair(group: Group, a: Record, b: Record, evals: str) -> Pair:
    assert a.cell.n and a.cell.seed is not None and a.cell.learning_rate and b.cell.learning_rate  # checked by read_run
    return Pair(
        base=group.base,
        adapter=group.adapter,
        protocol=group.protocol,
        source=group.source,
        N=a.cell.n,
        seed=a.cell.seed,
        method_a=a.cell.method,
        variant_a=a.cell.variant,
        method_b=b.cell.method,
        variant_b=b.cell.variant,
        learning_rate_a=a.cell.learning_rate,
        learning_rate_b=b.cell.learning_rate,
        key_a=a.key,
        key_b=b.key,
        evals=evals,
    )


def _require_same_matrices(pair: Pair, left: dict[Module, Factors], right: dict[Module, Factors]) -> None:
    shapes = [{module: factors.b.shape for module, factors in of.items()} for of in (left, right)]
    if shapes[0] != shapes[1]:
        raise UserError(f"{pair.label} adapt other matrices than each other: these are not adapters of one kind")


def _compare(
    pair: Pair, left: dict[Module, Factors], right: dict[Module, Factors], definition: Definition
) -> Iterator[MatrixOverlap]:
    """The overlap in every adapted matrix."""
    for module in left:
        u = column_space(*left[module], definition)
        v = column_space(*right[module], definition)
        yield MatrixOverlap(
            **asdict(pair),
            definition=definition,
            layer=module.layer,
            matrix=module.matrix,
            rank_a=0 if u is None else u.shape[1],
            rank_b=0 if v is None else v.shape[1],
            overlap=None if u is None or v is None else overlap(u, v),
            chance=None if u is None or v is None else chance_level(u, v),
        )
