"""Win rates from pairwise judgments, by FastChat's rule, and how far the judge's verdicts depend on positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from ia2_eval.mtbench.judging.judgments import PairJudgment
from ia2_eval.mtbench.reports.duplicates import Duplicates, without_duplicates
from ia2_eval.mtbench.reports.estimates import Estimate, pooled_mean
from ia2_eval.mtbench.reports.scores import days

Rate = Literal["win_rate", "loss_rate", "tie_rate", "win_rate_adjusted", "consistency", "first_position"]
"""Over a model's matches. A match (two models, a question, a turn) is judged in both orders; it is won if both verdicts
say so, and a tie if they differ or say so. `win_rate_adjusted`: a tie is half a win. `consistency`: both orders have
the same verdict. `first_position`: of the single verdicts that are no tie, those for the answer shown first; a judge
without position bias comes to 0.5."""
RATES: tuple[Rate, ...] = get_args(Rate)


class RatedPart(NamedTuple):
    """A rate over some of a model's matches."""

    rate: Rate
    turn: int | None
    """None: all turns."""
    category: str | None
    """None: all categories."""
    estimate: Estimate | None
    """None: there are none."""
    n_failed: int
    """Matches of which a verdict is missing; they are in no rate."""


@dataclass(frozen=True)
class PairScores:
    """What one judge said of one model's matches."""

    model: str
    judge: str
    wins: int
    losses: int
    ties: int
    n_failed: int
    parts: tuple[RatedPart, ...]
    """Each rate of all matches, of each turn, of each category."""
    n_duplicates: int
    served_by: tuple[str, ...]
    dates: tuple[str, ...]

    def rate(self, rate: Rate, turn: int | None = None, category: str | None = None) -> Estimate | None:
        return next((part.estimate for part in self.parts if part[:3] == (rate, turn, category)), None)


def pair_scores(
    judgments: Sequence[PairJudgment],
    categories: Mapping[int, str],
    duplicates: Duplicates = "last",
    baseline: str | None = None,
) -> tuple[PairScores, ...]:
    """One for each judge and model: judges in the order of the rows, a judge's models by adjusted win rate.

    Args:
        judgments: of any models and judges, in the order of their files.
        categories: of the questions, by id; one that is not there counts in the totals only.
        duplicates: what is done with several judgments of the same match.
        baseline: only matches against this model count, and it is left out itself; None for all matches, as FastChat's
            `pairwise-all`.

    Raises:
        UserError: there are duplicates and the rule is `error` or `mean`.
    """
    groups: dict[str, list[PairJudgment]] = {}
    for judgment in judgments:
        if baseline in (None, judgment.model_1, judgment.model_2):
            groups.setdefault(judgment.judge[0], []).append(judgment)
    found: list[PairScores] = []
    for judge, rows in groups.items():
        models = dict.fromkeys(model for row in rows for model in (row.model_1, row.model_2) if model != baseline)
        of_judge = [_pair_scores(model, judge, rows, categories, duplicates) for model in models]
        found += sorted(of_judge, key=_worst_first, reverse=True)
    return tuple(found)


def outcome(row: PairJudgment, model: str) -> float:
    """1 for a win of the model, 0.5 for a tie, 0 for a loss (FastChat's show_result)."""
    if row.g1_winner == "tie" or row.g1_winner != row.g2_winner:
        return 0.5
    winner = row.model_1 if row.g1_winner == "model_1" else row.model_2
    return 1.0 if winner == model else 0.0


def _pair_scores(
    model: str, judge: str, rows: Sequence[PairJudgment], categories: Mapping[int, str], duplicates: Duplicates
) -> PairScores:
    of_model = [row for row in rows if model in (row.model_1, row.model_2)]
    kept = without_duplicates(of_model, _identity, duplicates)
    present = {row.question_id for row in kept}
    names = dict.fromkeys(category for question, category in categories.items() if question in present)
    parts = [*_parts(kept, model, None, None)]
    for turn in sorted({row.turn for row in kept}):
        parts += _parts([row for row in kept if row.turn == turn], model, turn, None)
    for name in names:
        parts += _parts([row for row in kept if categories.get(row.question_id) == name], model, None, name)
    outcomes = [outcome(row, model) for row in kept if not row.failed]
    return PairScores(
        model=model,
        judge=judge,
        wins=outcomes.count(1.0),
        losses=outcomes.count(0.0),
        ties=outcomes.count(0.5),
        n_failed=len(kept) - len(outcomes),
        parts=tuple(parts),
        n_duplicates=len(of_model) - len({_identity(row) for row in of_model}),
        served_by=tuple(sorted({row.served_by for row in of_model if row.served_by})),
        dates=days(of_model),
    )


def _parts(rows: Sequence[PairJudgment], model: str, turn: int | None, category: str | None) -> list[RatedPart]:
    judged = [row for row in rows if not row.failed]
    questions = [row.question_id for row in judged]
    outcomes = [outcome(row, model) for row in judged]
    firsts = [(first, row.question_id) for row in judged for first in _for_the_first(row)]
    estimates: dict[Rate, Estimate | None] = {
        "win_rate": pooled_mean([float(result == 1) for result in outcomes], questions),
        "loss_rate": pooled_mean([float(result == 0) for result in outcomes], questions),
        "tie_rate": pooled_mean([float(result == 0.5) for result in outcomes], questions),
        "win_rate_adjusted": pooled_mean(outcomes, questions),
        "consistency": pooled_mean([float(row.g1_winner == row.g2_winner) for row in judged], questions),
        "first_position": pooled_mean([first for first, _ in firsts], [question for _, question in firsts]),
    }
    failed = len(rows) - len(judged)
    return [RatedPart(rate, turn, category, estimate, failed) for rate, estimate in estimates.items()]


def _for_the_first(row: PairJudgment) -> list[float]:
    """Of each verdict that is no tie: 1 if the answer shown first won. Model 2 is shown first in the second game."""
    games = [(row.g1_winner, "model_1"), (row.g2_winner, "model_2")]
    return [float(winner == first) for winner, first in games if winner != "tie"]


def _identity(row: PairJudgment) -> tuple[tuple[str, ...], str, int, int]:
    return tuple(sorted((row.model_1, row.model_2))), row.judge[0], row.question_id, row.turn


def _worst_first(scored: PairScores) -> float:
    rate = scored.rate("win_rate_adjusted")
    return rate.value if rate else -1.0
