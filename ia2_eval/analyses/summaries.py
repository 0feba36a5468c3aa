"""Analyses summed up over seeds."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TypeVar

from ia2_eval.analyses.overlap import PairOverlap
from ia2_eval.analyses.similarity_rows import Mode, RunSimilarity
from ia2_eval.analyses.subspace import Definition
from ia2_eval.leaderboard.results.summary import summarise
from ia2_eval.leaderboard.style import Column
from ia2_eval.protocol import Protocol

REFERENCE = "sft"
"""The method that the others are compared with."""


@dataclass(frozen=True)
class SimilaritySummary:
    """One line of `similarity_summary.csv`. Intervals are 95 % ones over seeds by Student's t; one seed has none."""

    base: str
    adapter: str
    protocol: Protocol
    source: str
    eval: str
    N: int
    mode: Mode
    method: str
    variant: str
    seeds: int
    n: int  # evaluation examples of each seed
    mean: float
    std: float | None  # sample under `strict`, population under `paper`
    ci_low: float | None
    ci_high: float | None
    minus_sft: float | None  # mean difference to SFT of the same seed and kind of adapter
    minus_sft_low: float | None
    minus_sft_high: float | None
    minus_sft_seeds: int  # that both have

    @property
    def column(self) -> Column:
        return Column(self.method, self.variant)


@dataclass(frozen=True)
class OverlapSummary:
    """One line of `overlap_summary.csv`. Intervals as in `SimilaritySummary`."""

    base: str
    adapter: str
    protocol: Protocol
    source: str
    N: int
    method_a: str
    variant_a: str
    method_b: str
    variant_b: str
    evals: str
    definition: Definition
    seeds: int
    mean: float
    std: float | None
    ci_low: float | None
    ci_high: float | None
    chance: float

    @property
    def columns(self) -> tuple[Column, Column]:
        return Column(self.method_a, self.variant_a), Column(self.method_b, self.variant_b)


def summarise_similarities(runs: Sequence[RunSimilarity]) -> list[SimilaritySummary]:
    """One summary for each base, kind of adapter, source, evaluation set, N, way of comparing and method."""
    of_reference = {
        (_place(run), run.adapter, run.seed): run.similarity for run in runs if run.column == Column(REFERENCE)
    }
    summaries = []
    for same in _groups(runs, lambda run: (_place(run), run.adapter, run.column)):
        run = same[0]
        spread = summarise([run.similarity for run in same], _ddof(run.protocol))
        keys = [(_place(run), run.adapter, run.seed) for run in same]
        differences = [
            run.similarity - of_reference[key]
            for run, key in zip(same, keys, strict=True)
            if key in of_reference and run.column != Column(REFERENCE)
        ]
        paired = summarise(differences, 1) if differences else None
        summaries.append(
            SimilaritySummary(
                base=run.base,
                adapter=run.adapter,
                protocol=run.protocol,
                source=run.source,
                eval=run.eval,
                N=run.N,
                mode=run.mode,
                method=run.method,
                variant=run.variant,
                seeds=len(same),
                n=run.n,
                mean=spread.mean,
                std=spread.std,
                ci_low=spread.ci_low,
                ci_high=spread.ci_high,
                minus_sft=paired.mean if paired else None,
                minus_sft_low=paired.ci_low if paired else None,
                minus_sft_high=paired.ci_high if paired else None,
                minus_sft_seeds=len(differences),
            )
        )
    return summaries


def summarise_overlaps(pairs: Sequence[PairOverlap]) -> list[OverlapSummary]:
    """One summary for each base, kind of adapter, source, N, pair of methods and definition."""
    summaries = []
    for same in _groups(
        pairs,
        lambda pair: (
            pair.base,
            pair.adapter,
            pair.protocol,
            pair.source,
            pair.N,
            pair.columns,
            pair.evals,
            pair.definition,
        ),
    ):
        pair = same[0]
        spread = summarise([pair.overlap for pair in same], _ddof(pair.protocol))
        summaries.append(
            OverlapSummary(
                base=pair.base,
                adapter=pair.adapter,
                protocol=pair.protocol,
                source=pair.source,
                N=pair.N,
                method_a=pair.method_a,
                variant_a=pair.variant_a,
                method_b=pair.method_b,
                variant_b=pair.variant_b,
                evals=pair.evals,
                definition=pair.definition,
                seeds=len(same),
                mean=spread.mean,
                std=spread.std,
                ci_low=spread.ci_low,
                ci_high=spread.ci_high,
                chance=fmean(pair.chance for pair in same),
            )
        )
    return summaries


Row = TypeVar("Row")


def _groups(rows: Iterable[Row], key: Callable[[Row], Hashable]) -> list[list[Row]]:
    """Rows of equal key together, in the order in which the keys appear."""
    groups: dict[Hashable, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return list(groups.values())


def _place(run: RunSimilarity) -> tuple[str, Protocol, str, str, int, Mode]:
    return run.base, run.protocol, run.source, run.eval, run.N, run.mode


def _ddof(protocol: Protocol) -> int:
    return 1 if protocol == "strict" else 0
