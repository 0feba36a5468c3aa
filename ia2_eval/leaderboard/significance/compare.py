"""Records -> comparisons: of two columns at each place of a section, then over its datasets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import starmap
from typing import NamedTuple

import numpy as np

from ia2_eval.benchmarks import get_benchmark
from ia2_eval.leaderboard.results.aggregate import training_sizes
from ia2_eval.leaderboard.results.groups import Group
from ia2_eval.leaderboard.results.headline import Headline
from ia2_eval.leaderboard.results.reported import reported_outcomes
from ia2_eval.leaderboard.results.results import Results
from ia2_eval.leaderboard.significance.clustered import ENOUGH_DATASETS, clusters, over_datasets
from ia2_eval.leaderboard.significance.comparison import Comparison, Metric, Scope, Sets, with_holm
from ia2_eval.leaderboard.significance.crossed import shared_variance_of_means, shared_variance_of_resamples
from ia2_eval.leaderboard.significance.mcnemar import discordant, mcnemar
from ia2_eval.leaderboard.significance.over_seeds import effect_size, paired_t, wilcoxon
from ia2_eval.leaderboard.significance.paired_bootstrap import CalibrationErrors, bootstrap, resampled_means
from ia2_eval.leaderboard.significance.pairs import Pairs, match
from ia2_eval.leaderboard.style import Column, column_title
from ia2_eval.leaderboard.tables.table import Place, Section, places, sections

Pair = tuple[Column, Column]
"""A column and what it is compared with."""


class Compared(NamedTuple):
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...]  # what is not compared, and why
    faults: tuple[str, ...]  # sample files that cannot be used, or are of other examples


def compare(results: Results, groups: Sequence[Group], pairs: Sequence[Pair]) -> Compared:
    """All comparisons of these pairs, Holm-corrected together.

    Args:
        results: where the samples are.
        groups: all of the results.
        pairs: of columns; one that a section does not have is passed over there.
    """
    comparisons: list[Comparison] = []
    unlike: dict[str, list[str]] = defaultdict(list)  # cause -> where
    faults: list[str] = []
    errors = {bins: CalibrationErrors(bins) for bins in ("equal-width", "equal-mass")}
    untrained_done: set[tuple[str, str, Pair]] = set()
    for section in sections(groups):
        of_section = section.groups(groups)
        trained = {group.column for group in of_section if group.trained}
        for pair in pairs:
            if trained.isdisjoint(pair):  # stands in the sections of all adapters
                if (section.base, section.protocol, pair) in untrained_done:
                    continue
                untrained_done.add((section.base, section.protocol, pair))
            of_pair: list[Comparison] = []
            for place in (*places(of_section, single_token=True), *places(of_section, single_token=False)):
                both = [_group(of_section, column, place) for column in pair]
                if both[0] is None or both[1] is None:
                    continue
                found = [reported_outcomes(results, group, place.eval) for group in both if group]
                faults += [fault for outcomes in found for fault in outcomes.faults]
                matched = match(found[0].by_seed, found[1].by_seed)
                where = f"{_where(section, place)}: {column_title(pair[0])} and {column_title(pair[1])}"
                faults += [f"{where}: {reason}" for reason in matched.refused]
                if not matched.seeds:
                    unlike["not compared, without a finished seed in common"].append(where)
                    continue
                if matched.unmatched:
                    count = f"{matched.unmatched} seed{'s' * (matched.unmatched != 1)}"
                    unlike["seeds that only one of the two has are left out"].append(f"{where}, {count}")
                if not matched.calibrated and matched.known_by_either:
                    unlike["no ECE, for in some seed no example has a confidence in both"].append(where)
                reported = both[0].headline(place.eval)
                of_pair += _at_place(section, place, pair, matched, reported, errors[reported.bins])
            comparisons += [*of_pair, *_over_places(of_pair)]
    return Compared(tuple(with_holm(comparisons)), tuple(starmap(_note, unlike.items())), tuple(dict.fromkeys(faults)))


def _note(cause: str, where: Sequence[str]) -> str:
    """One line for all comparisons that it is the cause of."""
    return f"{cause}: {where[0]}" if len(where) == 1 else f"{cause}: {len(where)} comparisons, such as {where[0]}"


def _group(groups: Sequence[Group], column: Column, place: Place) -> Group | None:
    """The column's entry at a place."""
    return next(
        (
            group
            for group in groups
            if group.column == column
            and group.source == place.source
            and place.eval in group.evals
            and place.n in training_sizes(groups, group)
        ),
        None,
    )


def _where(section: Section, place: Place) -> str:
    size = "" if place.n is None else f" N={place.n}"
    to = "" if place.eval == place.source else f" → {get_benchmark(place.eval).title}"
    return f"{section.title} · {get_benchmark(place.source).title}{size}{to}"


def _at_place(
    section: Section, place: Place, pair: Pair, pairs: Pairs, reported: Headline, errors: CalibrationErrors
) -> Iterator[Comparison]:
    made = partial(
        Comparison,
        section=section,
        scope="place",
        n=place.n,
        source=place.source,
        eval=place.eval,
        sets="own" if place.eval == place.source else "ood",
        method=pair[0],
        against=pair[1],
        seeds=len(pairs.seeds),
        unmatched=pairs.unmatched,
        examples=pairs.known.shape[1],
    )
    yield _of_accuracy(made, pairs, reported.accuracy)
    if pairs.calibrated:
        yield _of_calibration(made, pairs, reported.calibration, errors)


def _of_accuracy(made: partial[Comparison], pairs: Pairs, recorded_as: str) -> Comparison:
    values = pairs.accuracy_differences
    differences = [float(difference) for difference in values.mean(axis=1)]
    better, worse = discordant(pairs.answers.correct, pairs.against.correct)
    difference = float(values.mean())
    return made(
        metric="acc",
        recorded_as=recorded_as,
        value=float(pairs.answers.correct.mean()),
        against_value=float(pairs.against.correct.mean()),
        difference=difference,
        effect_size=effect_size(differences),
        better=better,
        worse=worse,
        differences=tuple(differences),
        tests=(
            paired_t(differences, "crossed", shared=shared_variance_of_means(values)),
            paired_t(differences),
            wilcoxon(differences),
            mcnemar(pairs.answers.correct, pairs.against.correct),
            bootstrap(difference, resampled_means(values.mean(axis=0)), values.shape[1]),
        ),
    )


def _of_calibration(made: partial[Comparison], pairs: Pairs, recorded_as: str, errors: CalibrationErrors) -> Comparison:
    """Over the examples whose confidence both columns give."""
    differences = [float(difference) for difference in errors.differences(pairs)]
    resamples = errors.resampled_differences(pairs)
    own = pairs.answers
    value = float(np.mean(list(map(errors.of, own.confidence, own.hits, pairs.known))))
    difference = float(np.mean(differences))
    examples = pairs.known.shape[1]
    return made(
        metric="ECE",
        recorded_as=recorded_as,
        value=value,
        against_value=value - difference,
        difference=difference,
        left_out=float(examples - pairs.known.sum(axis=1).mean()),
        effect_size=effect_size(differences),
        differences=tuple(differences),
        tests=(
            paired_t(differences, "crossed", shared=shared_variance_of_resamples(resamples)),
            paired_t(differences),
            wilcoxon(differences),
            bootstrap(difference, resamples.mean(axis=0), examples),
        ),
    )


def _over_places(of_pair: Sequence[Comparison]) -> Iterator[Comparison]:
    """All sources together, at each N where there are several, then at all N; those with two clusters or more."""
    sizes = sorted({found.n for found in of_pair if found.n is not None})
    scopes: list[tuple[Scope, list[int | None]]] = [("N", [n]) for n in sizes] if len(sizes) > 1 else []
    for scope, ns in (*scopes, ("all", [None, *sizes])):
        for sets in ("own", "ood"):
            for metric in ("acc", "ECE"):
                members = [c for c in of_pair if (c.sets, c.metric) == (sets, metric) and c.n in ns]
                evals: dict[str, set[str]] = defaultdict(set)
                for member in members:
                    evals[member.source].add(member.eval)
                names = clusters(evals)
                if len(set(names.values())) > 1:
                    yield _pooled(scope, ns[0], sets, metric, members, names)


def _pooled(
    scope: Scope, n: int | None, sets: Sets, metric: Metric, members: Sequence[Comparison], names: dict[str, str]
) -> Comparison:
    differences: dict[str, list[float]] = defaultdict(list)
    values: dict[str, list[float]] = defaultdict(list)
    for member in members:
        differences[names[member.source]] += member.differences
        values[names[member.source]] += [member.value] * member.seeds
    means = [float(np.mean(of_cluster)) for of_cluster in differences.values()]
    value, difference = float(np.mean([np.mean(of_cluster) for of_cluster in values.values()])), float(np.mean(means))
    return Comparison(
        section=members[0].section,
        scope=scope,
        n=n,
        source="",
        eval="",
        sets=sets,
        method=members[0].method,
        against=members[0].against,
        metric=metric,
        recorded_as=members[0].recorded_as if len({member.recorded_as for member in members}) == 1 else "",
        value=value,
        against_value=value - difference,
        difference=difference,
        seeds=sum(member.seeds for member in members),
        unmatched=sum(member.unmatched for member in members),
        examples=0,
        clusters=len(means),
        effect_size=effect_size(means) if len(means) >= ENOUGH_DATASETS else None,
        differences=tuple(means),
        tests=(over_datasets(differences),),
    )
