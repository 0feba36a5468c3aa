"""One comparison of two columns, with everything that is said about it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ia2_eval.leaderboard.significance.evidence import Evidence, TestName
from ia2_eval.leaderboard.significance.holm import holm
from ia2_eval.leaderboard.style import Column, column_title
from ia2_eval.leaderboard.tables.table import Section

ENOUGH_SEEDS = 3
"""With fewer the spread over seeds is hardly known, and only these checkpoints can be compared."""

Scope = Literal["place", "N", "all"]
"""`place`: one N, source and eval. `N`: all sources at one N. `all`: all sources and N."""

Sets = Literal["own", "ood"]
"""Which evaluation sets are taken together: that of each source itself, or its out-of-distribution ones."""

Metric = Literal["acc", "ECE"]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Of a column with another one. What does not apply or cannot be known is None."""

    section: Section
    scope: Scope
    n: int | None
    source: str  # "" where all are taken together
    eval: str  # likewise
    sets: Sets
    method: Column
    against: Column
    metric: Metric
    recorded_as: str  # the metric's name in the records: what the table reports; "" where it varies
    value: float  # mean over seeds, of the examples that count
    against_value: float
    difference: float  # value - against_value
    seeds: int  # matched ones; in a scope of several places, of all of them
    unmatched: int  # seeds that only one of the two has
    examples: int  # per seed; 0 in a scope of several places
    left_out: float = 0.0  # of ECE: examples without a confidence in either, mean per seed
    clusters: int | None = None  # datasets, where several are taken together
    effect_size: float | None = None  # d_z: mean over spread of the seeds' (or datasets') differences
    better: int | None = None  # b: answers that only `method` has right, over all seeds
    worse: int | None = None  # c: answers that only `against` has right
    differences: tuple[float, ...] = ()  # of each seed, or of each dataset
    tests: tuple[Evidence, ...]
    p_holm: tuple[float | None, ...] = ()  # of each test, after Holm over the comparisons of the same kind

    @property
    def pair_title(self) -> str:
        return f"{column_title(self.method)} minus {column_title(self.against)}"

    @property
    def odds_ratio(self) -> float | None:
        """b / c; inf where c is 0, None where both are."""
        if self.better is None or self.worse is None or not self.better + self.worse:
            return None
        return self.better / self.worse if self.worse else float("inf")

    @property
    def primary_test(self) -> TestName:
        """The test that decides, fixed before any result is seen."""
        if self.scope != "place":
            return "clusters"
        if self.seeds >= ENOUGH_SEEDS:
            return "crossed"
        return "mcnemar" if self.metric == "acc" else "bootstrap"

    @property
    def primary(self) -> Evidence:
        return self.tests[self._primary_index]

    @property
    def primary_p_holm(self) -> float | None:
        return self.p_holm[self._primary_index]

    @property
    def interval(self) -> Evidence:
        """The test whose interval is shown: the primary one; McNemar's test has none, the bootstrap of the same has."""
        if self.primary_test != "mcnemar":
            return self.primary
        return next(found for found in self.tests if found.test == "bootstrap")

    @property
    def _primary_index(self) -> int:
        return [found.test for found in self.tests].index(self.primary_test)


def with_holm(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The same with corrected p values. A family is what answers one question: the primary tests of one scope and
    metric, on own and out-of-distribution sets of all sections; likewise each other test.
    """
    families: dict[tuple[str, ...], list[tuple[int, int, float]]] = defaultdict(list)
    for i, comparison in enumerate(comparisons):
        for j, found in enumerate(comparison.tests):
            if found.p is not None:
                question = "primary" if found.test == comparison.primary_test else found.test
                families[comparison.scope, comparison.metric, question].append((i, j, found.p))
    corrected = {
        (i, j): p
        for members in families.values()
        for (i, j, _), p in zip(members, holm([p for *_, p in members]), strict=True)
    }
    return [
        replace(comparison, p_holm=tuple(corrected.get((i, j)) for j in range(len(comparison.tests))))
        for i, comparison in enumerate(comparisons)
    ]
