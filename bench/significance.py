"""False positives and power of the tests of `ia2-eval leaderboard compare`, in simulations with a known truth.

Prints the table of docs/statistics.md in a few minutes: how often each test is significant at 5 %, beside what the
formula of the reports predicts. The first column says what is drawn anew: `level` rows have no difference over it, so
that a test of this question stays at 0.05; tests of another question are there as a warning.

    python bench/significance.py --simulations 2000
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from functools import partial
from itertools import combinations

import numpy as np
from simulated_outcomes import World, dataset_differences, rejection_rate, simulate

from ia2_eval.leaderboard.results.outcomes import Outcomes
from ia2_eval.leaderboard.significance.best import best_of
from ia2_eval.leaderboard.significance.clustered import cluster_means
from ia2_eval.leaderboard.significance.evidence import LEVEL
from ia2_eval.leaderboard.significance.holm import holm
from ia2_eval.leaderboard.significance.over_seeds import paired_p
from ia2_eval.leaderboard.significance.pairs import Pairs
from ia2_eval.leaderboard.significance.power import power, units_needed
from ia2_eval.leaderboard.style import Column

FIXED = World(training_run=0.0)
"""The methods' checkpoints are equally good; each has examples of its own that it can answer."""
LUCKY = World(method_example=0.0)
"""Training runs differ by luck, the methods do not; an example is as hard for the one as for the other."""
BOTH = World()
BETTER = 0.5

Line = tuple[str, str, str, str, float, str]  # question, truth, data, test, rate, predicted


def with_difference(world: World, difference: float = BETTER) -> World:
    return World(
        (0.5 + difference, 0.5),
        world.training_set,
        world.training_run,
        world.example,
        world.method_example,
        world.sharpness,
    )


def of_one_dataset(simulations: int) -> Iterator[Line]:
    overconfident = World(training_run=0.0, sharpness=(2.0, 2.0))
    of_examples, of_seeds = ("mcnemar", "bootstrap"), ("t", "wilcoxon", "crossed")
    naive = "McNemar of all answers"
    over = "examples", "seeds", "both"
    plans: list[tuple[str, str, World, int, int, str, tuple[str, ...]]] = [
        (over[0], "level", FIXED, 1, 200, "acc", of_examples),
        (over[0], "level", FIXED, 5, 200, "acc", (*of_examples, naive)),
        (over[0], "power", with_difference(FIXED, 0.3), 1, 200, "acc", of_examples),
        (over[0], "power", with_difference(FIXED, 0.2), 5, 200, "acc", of_examples),
        (over[0], "level, calibrated", FIXED, 1, 200, "ECE", ("bootstrap",)),
        (over[0], "level, overconfident", overconfident, 1, 200, "ECE", ("bootstrap",)),
        (over[0], "level, overconfident", overconfident, 5, 200, "ECE", ("bootstrap",)),
        (over[0], "power", World(training_run=0.0, sharpness=(2.0, 1.4)), 1, 500, "ECE", ("bootstrap",)),
        (over[1], "level", LUCKY, 3, 200, "acc", of_seeds),
        (over[1], "level", LUCKY, 5, 200, "acc", (*of_seeds, "mcnemar", naive)),
        (over[1], "level", LUCKY, 10, 200, "acc", of_seeds),
        (over[1], "power", with_difference(LUCKY), 5, 200, "acc", of_seeds),
        (over[1], "power", with_difference(LUCKY), 10, 200, "acc", of_seeds),
        (over[2], "level", FIXED, 5, 200, "acc", ("t", "crossed")),
        (over[2], "level", BOTH, 3, 200, "acc", ("t", "crossed")),
        (over[2], "level", BOTH, 5, 200, "acc", ("t", "crossed", "mcnemar")),
        (over[2], "level", BOTH, 5, 500, "acc", ("t", "crossed", "mcnemar")),
        (over[2], "power", with_difference(BOTH), 5, 200, "acc", ("crossed",)),
        (over[2], "power", with_difference(BOTH), 10, 200, "acc", ("crossed",)),
        (over[2], "level, calibrated", BOTH, 5, 200, "ECE", ("t", "crossed", "bootstrap")),
        (over[2], "level, overconfident", World(sharpness=(2.0, 2.0)), 5, 200, "ECE", ("t", "crossed", "bootstrap")),
        (over[2], "power", World(sharpness=(2.0, 1.4)), 5, 200, "ECE", ("t", "crossed")),
        (over[2], "calibrated, skills differ", World((1.5, 0.0)), 5, 200, "ECE", ("t", "crossed")),
    ]
    for question, truth, world, seeds, n, metric, tests in plans:
        found = simulate(world, seeds, n, simulations, metric)
        for test in tests:
            predicted = found.predicted.get(test) if truth == "power" else None
            data = f"{seeds} seed{'s' * (seeds > 1)}, n {n}, d {found.difference:+.3f}"
            yield question, f"{metric} {truth}", data, test, found.rejected[test], _or_dash(predicted)


def at_the_number_needed(simulations: int) -> Iterator[Line]:
    """The formula says how many seeds have 80 % power: with so many, do 80 % of the simulations find it?"""
    for world, test in ((with_difference(LUCKY, 0.3), "t"), (with_difference(BOTH, 0.4), "crossed")):
        pilot = [world.draw(np.random.default_rng(i), 50, 500).accuracy_differences for i in range(100)]
        difference = world.accuracy(0) - world.accuracy(1)
        spread = float(np.sqrt(np.mean([values.mean(axis=1).var(ddof=1) for values in pilot])))
        means = [values.mean() for values in pilot]
        shared = max(float(np.var(means, ddof=1)) - spread**2 / 50, 0.0) if test == "crossed" else 0.0
        needed = int(units_needed(difference, spread, shared))
        found = simulate(world, needed, 500, simulations)
        data = f"{needed} seeds, n 500, d {difference:+.3f}"
        yield "both" if shared else "seeds", "acc power, seeds as needed", data, test, found.rejected[test], "0.800"


def over_several(simulations: int) -> Iterator[Line]:
    from statsmodels.api import OLS

    def naive(differences: dict[str, list[float]]) -> float | None:
        return paired_p([value for values in differences.values() for value in values])

    def robust(differences: dict[str, list[float]]) -> float:
        values = [value for of_dataset in differences.values() for value in of_dataset]
        names = [i for i, of_dataset in enumerate(differences.values()) for _ in of_dataset]
        fit = OLS(values, np.ones(len(values))).fit(cov_type="cluster", cov_kwds={"groups": names}, use_t=True)
        return float(fit.pvalues[0])

    tests = {"clusters": lambda found: paired_p(cluster_means(found)), "cluster-robust t of all pairs": robust}
    for label, pairs in (("3 datasets", (4,) * 3), ("6 datasets", (4,) * 6), ("6, unequal", (7, 7, 2, 2, 1, 1))):
        for name, test in (*tests.items(), ("t of all pairs", naive)):
            rate = rejection_rate(
                lambda rng, test=test, pairs=pairs: test(dataset_differences(rng, pairs, 0.0, 0.03, 0.05)), simulations
            )
            yield "datasets", "level", label, name, rate, "-"
    spread = float(np.sqrt(0.03**2 + 0.05**2 / 5 + 0.05**2 / 20))
    for count in (6, 12):
        rate = rejection_rate(
            lambda rng, sizes=(4,) * count: paired_p(cluster_means(dataset_differences(rng, sizes, 0.05, 0.03, 0.05))),
            simulations,
        )
        yield "datasets", "power", f"{count} datasets, d +0.050", "clusters", rate, f"{power(0.05, spread, count):.3f}"


def of_several_columns(simulations: int, columns: int) -> Iterator[Line]:
    """All columns are equally good: how often is any comparison significant, or any marked as the best?"""
    rng = np.random.default_rng(0)
    raw = corrected = accurate = calibrated = 0
    for _ in range(simulations):
        answers = World().draw_methods(rng, 5, 200, [0] * columns)
        p_values = [_crossed_p(Pairs(tuple(range(5)), one, other, 0, ())) for one, other in combinations(answers, 2)]
        raw += min(p_values) < LEVEL
        corrected += min(holm(p_values)) < LEVEL
        found = {
            Column(str(i)): {seed: Outcomes(of.correct[seed], of.confidence[seed], "same") for seed in range(5)}
            for i, of in enumerate(answers)
        }
        best = best_of(found, "equal-width")
        accurate += best.accuracy is not None
        calibrated += best.calibration is not None
    data = f"{columns} columns, 5 seeds, n 200"
    for test, count in (
        ("crossed, any pair", raw),
        ("crossed, any pair, Holm", corrected),
        ("best accuracy marked", accurate),
        ("best ECE marked", calibrated),
    ):
        yield "several", "level", data, test, count / simulations, "-"


def _crossed_p(pairs: Pairs) -> float:
    from ia2_eval.leaderboard.significance.crossed import shared_variance_of_means

    values = pairs.accuracy_differences
    p = paired_p(values.mean(axis=1), shared_variance_of_means(values))
    return 1.0 if p is None else p


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=2000)
    simulations = parser.parse_args().simulations
    start = time.perf_counter()
    print(f"{simulations} simulations each: ± {1.96 * np.sqrt(0.05 * 0.95 / simulations):.3f} at 0.05")
    print("| over | truth | data | test | significant | predicted |\n|---|---|---|---|---|---|")
    several = [partial(of_several_columns, columns=columns) for columns in (2, 5)]
    for part in (of_one_dataset, at_the_number_needed, over_several, *several):
        for question, truth, data, test, rate, predicted in part(simulations):
            print(f"| {question} | {truth} | {data} | {test} | {rate:.3f} | {predicted} |", flush=True)
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
