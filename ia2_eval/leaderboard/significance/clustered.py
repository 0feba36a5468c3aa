"""Over datasets: does a method differ on datasets like these? All (dataset, N, seed) pairs, clustered by dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ia2_eval.leaderboard.significance.evidence import Evidence
from ia2_eval.leaderboard.significance.over_seeds import paired_t

ENOUGH_DATASETS = 3
"""With two the t-test has one degree of freedom: two differences that happen to be alike would pass for a sure one."""

FEW = 5
"""Clusters below which it says little."""


def over_datasets(differences: Mapping[str, Sequence[float]]) -> Evidence:
    """t-test of the clusters' means, with one degree of freedom less than there are clusters.

    Draws for different N are nested and all seeds answer the same examples, so pairs of one dataset are not
    independent: whatever their dependence, a dataset counts once (Ibragimov and Mueller 2010). With equally many pairs
    in each it is the cluster-robust t-test of all pairs; with unequal numbers that one exceeds its level. Of fewer than
    `ENOUGH_DATASETS` clusters nothing is told.

    Args:
        differences: of each cluster, one per (N, seed) or more.
    """
    means = cluster_means(differences)
    if len(means) < ENOUGH_DATASETS:
        return Evidence("clusters", None, unit="datasets", units=len(means))
    return paired_t(means, "clusters", "datasets")


def cluster_means(differences: Mapping[str, Sequence[float]]) -> list[float]:
    return [sum(of_cluster) / len(of_cluster) for of_cluster in differences.values()]


def clusters(evals_of: Mapping[str, set[str]]) -> dict[str, str]:
    """Source -> name of its cluster: sources that share an evaluation set stand in one, as they share its examples.

    Args:
        evals_of: the sets that each source is evaluated on.
    """
    parts: list[tuple[set[str], set[str]]] = []  # sources, and the sets of them
    for source, evals in evals_of.items():
        touched = [part for part in parts if part[1] & evals]
        joined = {source}.union(*(part[0] for part in touched)), evals.union(*(part[1] for part in touched))
        parts = [*(part for part in parts if part not in touched), joined]
    return {source: "+".join(sorted(sources)) for sources, _ in parts for source in sources}
