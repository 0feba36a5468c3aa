"""Which column of a table's row is marked as the best: one that is significantly better than every other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ia2_eval.leaderboard.results.groups import Group
from ia2_eval.leaderboard.results.headline import BinKind
from ia2_eval.leaderboard.results.outcomes import Outcomes
from ia2_eval.leaderboard.results.reported import reported_outcomes
from ia2_eval.leaderboard.results.results import Results
from ia2_eval.leaderboard.significance.comparison import ENOUGH_SEEDS
from ia2_eval.leaderboard.significance.crossed import shared_variance_of_means, shared_variance_of_resamples
from ia2_eval.leaderboard.significance.evidence import LEVEL
from ia2_eval.leaderboard.significance.holm import holm
from ia2_eval.leaderboard.significance.mcnemar import mcnemar_p
from ia2_eval.leaderboard.significance.over_seeds import paired_p
from ia2_eval.leaderboard.significance.paired_bootstrap import CalibrationErrors, bootstrap
from ia2_eval.leaderboard.significance.pairs import Pairs, match
from ia2_eval.leaderboard.style import Column

BEST_CAPTION = (
    "Bold: better than every other column (p < 0.05, Holm over them) by a t-test over seeds and examples of 3 matched "
    "seeds or more; of fewer, over examples only (McNemar; bootstrap for ECE): of these checkpoints, not the methods."
)
"""How it is decided, for readers."""

RESAMPLES = 200
"""Enough for a standard error; a table has hundreds of rows."""

BySeed = Mapping[int | None, Outcomes]


class Best(NamedTuple):
    """None where no column is better than every other."""

    accuracy: Column | None
    calibration: Column | None


def significant_best(results: Results, groups: Sequence[Group], benchmark: str) -> Best:
    """The columns with the highest accuracy and the lowest expected calibration error, if the differences are real.

    Columns without a finished cell do not count. One that has some but no usable samples can be compared with nothing:
    nothing is marked then.

    Args:
        results: where the samples are.
        groups: of one row: same base, protocol, source and N; all the columns that are shown.
        benchmark: that is evaluated on.
    """
    finished = [group for group in groups if group.records and benchmark in group.evals]
    found = {group.column: reported_outcomes(results, group, benchmark).by_seed for group in finished}
    if len(found) < 2 or not all(found.values()):
        return Best(None, None)
    return best_of(found, finished[0].headline(benchmark).bins)


def best_of(found: Mapping[Column, BySeed], bins: BinKind) -> Best:
    """The same of two or more columns, each with one seed or more."""
    return Best(_most_accurate(found), _best_calibrated(found, CalibrationErrors(bins, RESAMPLES)))


def _most_accurate(found: Mapping[Column, BySeed]) -> Column | None:
    mean = {column: np.mean([each.correct.mean() for each in by_seed.values()]) for column, by_seed in found.items()}
    return _better_than_all(max(mean, key=mean.__getitem__), found, _accuracy_p)


def _best_calibrated(found: Mapping[Column, BySeed], errors: CalibrationErrors) -> Column | None:
    mean: dict[Column, float] = {}
    for column, by_seed in found.items():
        known = [(each, ~np.isnan(each.confidence)) for each in by_seed.values()]
        values = [errors.of(each.confidence, each.hits, there) for each, there in known if there.any()]
        if not values:
            return None
        mean[column] = float(np.mean(values))
    best = min(mean, key=mean.__getitem__)
    # The standard error of the t-test can only grow with what seeds share: where that of the seeds is too great by
    # itself, nothing need be resampled.
    for p in (lambda pairs: _calibration_p(pairs, errors, quick=True), lambda pairs: _calibration_p(pairs, errors)):
        if _better_than_all(best, found, p) is None:
            return None
    return best


def _better_than_all(
    best: Column, found: Mapping[Column, BySeed], p_value: Callable[[Pairs], float | None]
) -> Column | None:
    """The column, if the corrected p of its comparison with every other one is below the level.

    Args:
        best: the column.
        found: outcomes of all columns.
        p_value: two-sided, of its difference from another one; None unless it is the better one.
    """
    p_values = []
    for column, by_seed in found.items():
        if column == best:
            continue
        pairs = match(found[best], by_seed)
        p = p_value(pairs) if pairs.seeds and not pairs.refused else None
        if p is None or p >= LEVEL:  # a correction makes it no smaller
            return None
        p_values.append(p)
    return best if max(holm(p_values)) < LEVEL else None


def _accuracy_p(pairs: Pairs) -> float | None:
    values = pairs.accuracy_differences
    if values.mean() <= 0:
        return None
    if len(pairs.seeds) < ENOUGH_SEEDS:
        return mcnemar_p(pairs.answers.correct, pairs.against.correct)
    return paired_p(values.mean(axis=1), shared_variance_of_means(values))


def _calibration_p(pairs: Pairs, errors: CalibrationErrors, quick: bool = False) -> float | None:
    """`quick`: a lower bound of it, without resampling."""
    if not pairs.calibrated:
        return None
    differences = errors.differences(pairs)
    if differences.mean() >= 0:
        return None
    if quick:
        of_seeds = paired_p(differences) if len(pairs.seeds) >= ENOUGH_SEEDS else None
        return of_seeds or 0.0  # seeds that agree have a p, too, through their examples
    resamples = errors.resampled_differences(pairs)
    if len(pairs.seeds) < ENOUGH_SEEDS:
        return bootstrap(float(differences.mean()), resamples.mean(axis=0), pairs.known.shape[1]).p
    return paired_p(differences, shared_variance_of_resamples(resamples))
