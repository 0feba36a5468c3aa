"""One of our numbers beside a published one."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Literal, NamedTuple

from ia2_eval.leaderboard.published.entries import Entry
from ia2_eval.leaderboard.results.aggregate import Row
from ia2_eval.leaderboard.results.groups import Group
from ia2_eval.leaderboard.results.learning_rate import Selection, headline_selection
from ia2_eval.protocol import Protocol

SAME_PROTOCOL: Literal["same protocol"] = "same protocol"
ACROSS_PROTOCOLS: Literal["ACROSS PROTOCOLS"] = "ACROSS PROTOCOLS"
Comparison = Literal["same protocol", "ACROSS PROTOCOLS"]
Quantity = Literal["accuracy", "ECE"]


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """One line of `published.csv`. Accuracies are fractions; None is an empty field: not known, or not defined."""

    comparison: Comparison
    base: str
    adapter: str
    protocol: Protocol  # of ours; the published numbers are `paper`
    source: str
    eval: str
    ood: bool
    N: int | None
    method: str
    variant: str
    quantity: Quantity
    metric: str  # which of ours is compared
    published_metric: str  # the name that the published quantity has among ours
    selection: Selection
    ours: float | None  # mean over seeds; None where it is missing
    ours_std: float | None  # as in leaderboard.csv
    seeds: int | None  # None for `no_icl`, one evaluation
    seeds_expected: int | None
    n: int | None  # examples that ours is of
    published: float
    published_std: float | None  # population
    published_runs: int
    published_n: int
    published_adapter: str  # empty without training
    arxiv: str
    tables: str  # numbers of the tables that have it
    inferred: str  # what of the published entry its tables do not tell
    difference: float | None  # ours - published
    difference_in_sd: float | None  # in published standard deviations; None where that is unknown or 0
    standard_error: float | None  # of the difference, from both stds
    p_value: float | None  # of Welch's t-test; not corrected for the number of comparisons


class Sample(NamedTuple):
    """What is known of a mean over runs."""

    mean: float
    std: float | None
    """With n - 1 in the denominator; None for a single run, or where it is unknown."""
    n: int


def compare(
    entry: Entry,
    quantity: Quantity,
    metric: str,
    published_metric: str,
    group: Group,
    benchmark: str,
    size: int | None,
    ours: Row | None,
) -> PublishedRow | None:
    """A published entry and our number of the same place; None where that quantity was not published.

    Args:
        entry: the published one.
        quantity: of the two that the paper has.
        metric: of ours.
        published_metric: what the published quantity is called among ours.
        group: ours.
        benchmark: that it was evaluated on.
        size: N; that of the entry for `no_icl`, which has none.
        ours: at the reported learning rate; None where it is missing.
    """
    result = entry.result
    if quantity == "accuracy":
        mean, std = _share(result.acc), None if result.acc_std is None else _share(result.acc_std)
    elif result.ece is None:
        return None
    else:
        mean, std = result.ece, result.ece_std
    difference = None if ours is None else ours.mean - mean
    published = Sample(mean, sample_std(std, result.runs), result.runs)
    error, p_value = (None, None) if ours is None else welch(_ours(ours), published)
    return PublishedRow(
        comparison=SAME_PROTOCOL if group.protocol == "paper" else ACROSS_PROTOCOLS,
        base=group.base,
        adapter=group.adapter,
        protocol=group.protocol,
        source=group.source,
        eval=benchmark,
        ood=benchmark != group.source,
        N=size,
        method=group.method,
        variant=group.variant,
        quantity=quantity,
        metric=metric,
        published_metric=published_metric,
        selection=headline_selection(group.protocol, group.trained),
        ours=None if ours is None else ours.mean,
        ours_std=None if ours is None or ours.seeds is None else ours.std,
        seeds=None if ours is None else ours.seeds,
        seeds_expected=None if ours is None else ours.seeds_expected,
        n=None if ours is None else ours.n,
        published=mean,
        published_std=std,
        published_runs=result.runs,
        published_n=result.n,
        published_adapter=result.adapter if group.adapter else "",
        arxiv=result.arxiv,
        tables=" ".join(map(str, entry.tables)),
        inferred=" ".join(result.inferred),
        difference=difference,
        difference_in_sd=difference / std if difference is not None and std else None,
        standard_error=error,
        p_value=p_value,
    )


def sample_std(population_std: float | None, n: int) -> float | None:
    """The std with n - 1 in the denominator, of the one with n.

    A printed 0 is a rounded one, or of a single run: None, for nothing can be told from it.
    """
    return population_std * sqrt(n / (n - 1)) if population_std and n > 1 else None


def welch(one: Sample, other: Sample) -> tuple[float | None, float | None]:
    """Standard error of the difference of two means, and the p-value of Welch's t-test; None without both stds.

    The runs of ours and of the paper draw the same training sets, which would pair them, but only summaries are
    published, so they are taken as independent.
    """
    if one.std is None or other.std is None:
        return None, None
    from scipy.stats import ttest_ind_from_stats  # takes a second to import

    error = sqrt(one.std**2 / one.n + other.std**2 / other.n)
    p_value = float(ttest_ind_from_stats(*one[:2], one.n, *other[:2], other.n, equal_var=False).pvalue)
    return error, p_value if isfinite(p_value) else None


def _share(per_cent: float) -> float:
    """As many digits as were printed."""
    return round(per_cent / 100, 6)


def _ours(row: Row) -> Sample:
    if row.seeds is None or row.seeds < 2:
        return Sample(row.mean, None, 1)
    population = row.protocol == "paper"  # see `Row.std`
    std = row.std if row.std is None or not population else row.std * sqrt(row.seeds / (row.seeds - 1))
    return Sample(row.mean, std, row.seeds)
