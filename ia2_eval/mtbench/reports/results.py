"""Everything that a report says, as numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.mtbench.reports.agreement import Agreement, agreement
from ia2_eval.mtbench.reports.degeneration import Degeneration, degeneration
from ia2_eval.mtbench.reports.duplicates import Duplicates
from ia2_eval.mtbench.reports.estimates import Estimate
from ia2_eval.mtbench.reports.paired import optimism, paired_difference
from ia2_eval.mtbench.reports.pairwise import PairScores, pair_scores
from ia2_eval.mtbench.reports.scores import ModelScores, scores
from ia2_eval.mtbench.reports.settings import Setting, default_reference, in_order
from ia2_eval.mtbench.reports.sources import Sources

LOWEST, HIGHEST = 1, 10
"""Of a rating."""


class Difference(NamedTuple):
    """Of two models on the turns of questions that both have ratings for."""

    model: str
    judge: str
    reference: str
    turn: int | None
    """None: all turns."""
    estimate: Estimate


class Best(NamedTuple):
    """The model with the highest average, chosen on the questions that it is reported for."""

    judge: str
    category: str | None
    """None: all categories."""
    model: str
    score: Estimate
    optimism: float | None
    """About how much of the score is due to the choice."""
    candidates: int
    tied: int
    """Others with the same average."""


@dataclass(frozen=True)
class Results:
    scored: tuple[ModelScores, ...]
    pairs: tuple[PairScores, ...]
    degeneration: Mapping[str, Degeneration]
    """By model id."""
    differences: tuple[Difference, ...]
    best: tuple[Best, ...]
    agreements: tuple[Agreement, ...]
    settings: Mapping[str, Setting]
    """By model id."""
    references: Mapping[str, str]
    """What models are compared with, by judge."""
    baseline: str | None
    """The model that all pairwise matches are against; None: any."""
    duplicates: Duplicates
    notes: tuple[str, ...]

    @property
    def judges(self) -> tuple[str, ...]:
        """Of single judgments."""
        return tuple(dict.fromkeys(scored.judge for scored in self.scored))

    def of_judge(self, judge: str) -> tuple[ModelScores, ...]:
        return tuple(scored for scored in self.scored if scored.judge == judge)


def results(
    sources: Sources,
    categories: Mapping[int, str],
    duplicates: Duplicates = "last",
    reference: str | None = None,
    compare_judges: bool = False,
) -> Results:
    """
    Args:
        sources: what was read.
        categories: of the questions, by id.
        duplicates: what is done with several judgments of the same repeat of the same answer.
        reference: model that others are compared with; by default one that decodes greedily (without penalties, if
            there is one), else the first in the judgments.
        compare_judges: whether each pair of judges is compared.

    Raises:
        UserError: there is no such reference, there is but one judge to compare, or duplicates are refused.
    """
    if reference is not None and reference not in sources.models:
        raise UserError(f"--reference {reference!r}: no such model.{did_you_mean(reference, sources.models)}")
    scored = scores(sources.judgments, categories, duplicates)
    judges = tuple(dict.fromkeys(of_model.judge for of_model in scored))
    if compare_judges and len(judges) < 2:
        raise UserError(
            f"--compare-judges: single judgments of {len(judges)} judge{'s' * (len(judges) != 1)} "
            f"({', '.join(judges) or 'none'}); judge the same answers with another --judge-model"
        )
    references: dict[str, str] = {}
    notes = [*sources.notes, *_notes(sources, categories)]
    for judge in judges:
        judged = list(dict.fromkeys(row.model for row in sources.judgments if row.judge[0] == judge))
        if reference is None:
            references[judge] = default_reference(judged, sources.settings)
        elif reference in judged:
            references[judge] = reference
        else:
            notes.append(f"{judge} has not judged the reference {reference}: no differences from it")
    baseline = reference if any(reference in (row.model_1, row.model_2) for row in sources.pairs) else None
    if reference is not None and sources.pairs and baseline is None:
        notes.append(f"no pairwise match has the reference {reference}: all matches are counted")
    ordered = [setting.model_id for setting in in_order(sources.settings.values())]
    answered = [*(model for model in ordered if model in sources.answers), *sources.answers]
    agreements = [agreement(scored, a, b) for a, b in combinations(judges, 2)] if compare_judges else []
    notes += [
        f"{a} and {b} have rated no answer in common"
        for (a, b), found in zip(combinations(judges, 2), agreements, strict=False)
        if not found
    ]
    return Results(
        scored=scored,
        pairs=pair_scores(sources.pairs, categories, duplicates, baseline),
        degeneration={model: degeneration(sources.answers[model], categories) for model in dict.fromkeys(answered)},
        differences=tuple(_differences(scored, references)),
        best=tuple(_best(scored, judges, categories)),
        agreements=tuple(found for of_pair in agreements for found in of_pair),
        settings=sources.settings,
        references=references,
        baseline=baseline,
        duplicates=duplicates,
        notes=tuple(notes),
    )


def _differences(scored: Sequence[ModelScores], references: Mapping[str, str]) -> Iterator[Difference]:
    by_name = {(of_model.model, of_model.judge): of_model for of_model in scored}
    for of_model in scored:
        reference = references.get(of_model.judge)
        if reference is None or reference == of_model.model:
            continue
        turns = sorted({part.turn for part in of_model.parts if part.turn is not None})
        for turn in (None, *turns):
            estimate = paired_difference(of_model, by_name[reference, of_model.judge], turn)
            if estimate is not None:
                yield Difference(of_model.model, of_model.judge, reference, turn, estimate)


def _best(scored: Sequence[ModelScores], judges: Sequence[str], categories: Mapping[int, str]) -> Iterator[Best]:
    for judge in judges:
        of_judge = [of_model for of_model in scored if of_model.judge == judge]
        present = {part.category for of_model in of_judge for part in of_model.parts}
        for category in (None, *(name for name in dict.fromkeys(categories.values()) if name in present)):
            candidates = [
                (score, of_model) for of_model in of_judge if (score := of_model.part(category=category).score)
            ]
            if len(candidates) < 2:
                continue
            score, best = max(candidates, key=lambda candidate: candidate[0].value)
            tied = sum(other.value == score.value for other, _ in candidates) - 1
            ids = frozenset(id for id, name in categories.items() if name == category) if category else None
            yield Best(judge, category, best.model, score, optimism(of_judge, ids), len(candidates), tied)


def _notes(sources: Sources, categories: Mapping[int, str]) -> Iterator[str]:
    ids = sources.question_ids
    if not (sources.answers or sources.judgments):
        pass  # the tables of pairwise judgments have no categories
    elif not categories:
        known = len(ids & sources.categories.keys())
        what = f"known of {known} of {len(ids)} questions only, so none is shown" if known else "not known"
        yield f"categories are {what}: say which questions these are with --bench or --questions"
    elif unknown := sorted(ids - categories.keys()):
        yield f"{len(unknown)} questions without a category ({', '.join(map(str, unknown[:3]))} ...): in totals only"
    yield from _other_questions(sources)
    strange = [row for row in sources.judgments if not row.failed and not LOWEST <= row.score <= HIGHEST]
    if strange:
        yield (
            f"{len(strange)} ratings are not from {LOWEST} to {HIGHEST} (such as {strange[0].score:g} of question "
            f"{strange[0].question_id}, {strange[0].model}); they are averaged in, as FastChat does"
        )
    counts = {model: len(answers) for model, answers in sources.answers.items()}
    if len(set(counts.values())) > 1:
        fewest = min(counts, key=lambda model: counts[model])
        yield f"models have answers to {min(counts.values())} ({fewest}) to {max(counts.values())} questions"


def _other_questions(sources: Sources) -> Iterator[str]:
    """Where a model's judgments and answers are not of the same questions; models with the same counts in one line."""
    judged: dict[tuple[str, str], set[int]] = {}
    for row in sources.judgments:
        judged.setdefault((row.judge[0], row.model), set()).add(row.question_id)
    alike: dict[tuple[str, int, int, int], list[str]] = {}
    for (judge, model), ids in judged.items():
        answered = {answer.question_id for answer in sources.answers.get(model, ())}
        if answered and answered != ids:
            alike.setdefault((judge, len(ids), len(answered), len(ids & answered)), []).append(model)
    for (judge, n_judged, n_answered, common), models in alike.items():
        more = f" and {len(models) - 1} more" if len(models) > 1 else ""
        yield (
            f"{models[0]}{more}: {judge} judged {n_judged} questions, and the answers here are to {n_answered}, "
            f"{common} of them the same; scores and degeneration are of different questions"
        )
