"""Over datasets: does a method differ on datasets like these? All (dataset, N, seed) pairs, clustered by dataset."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence

from ia2_eval.leaderboard.significance.evidence import Evidence
from ia2_eval.leaderboard.significance.over_seeds import paired_t

FEW = 5
"""Clusters below which a t-test over them says little: with 2 it has one degree of freedom."""


def over_datasets(differences: Mapping[str, Sequence[float]]) -> Evidence:
    """t-test of the clusters' means, with one degree of freedom less than there are clusters.

    Draws for different N are nested and all seeds answer the same examples, so pairs of one dataset are not
    independent: whatever their dependence, a dataset counts once (Ibragimov and Mueller 2010). With equally many pairs
    in each it is the cluster-robust t-test of all pairs; with unequal numbers that one exceeds its level.

    Args:
        differences: of each cluster, one per (N, seed) or more.
    """
    means = [sum(of_cluster) / len(of_cluster) for of_cluster in differences.values()]
    return paired_t(means, "clusters", "datasets")


def clusters(evals_of: Mapping[str, set[str]]) -> dict[str, str]:
    """Source -> name of its cluster: sources that share an evaluation set stand in one, as they share its examples.

    Args:
        evals_of: the sets that each source is evaluated on.
    """
    names: dict[str, str] = {}
    sources: dict[Hashable, set[str]] = defaultdict(set)
    for source, evals in evals_of.items():
        joined = {source}.union(*(sources[name] for name in evals))
        for name in {name for other in joined for name in evals_of[other]}:
            sources[name] = joined
    for joined in sources.values():
        for source in joined:
            names[source] = "+".join(sorted(joined))
    return {source: names.get(source, source) for source in evals_of}
