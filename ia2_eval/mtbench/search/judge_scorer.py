"""Scores from a judge that rates the answers which a model gives behind a prompt set."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from ia2_eval.errors import UserError
from ia2_eval.mtbench.bench import Bench
from ia2_eval.mtbench.generation.models import OpenModel
from ia2_eval.mtbench.generation.run import generate_answers
from ia2_eval.mtbench.judging.judge import grade
from ia2_eval.mtbench.judging.judge_settings import JudgeSettings
from ia2_eval.mtbench.judging.judgments import Judgment
from ia2_eval.mtbench.layout import Layout
from ia2_eval.mtbench.prompts.prompt_set import PromptSet
from ia2_eval.mtbench.questions import Question
from ia2_eval.mtbench.search.data import DevItem
from ia2_eval.mtbench.search.recipe import ScorerSettings

CATEGORY = "general"
"""Of all items: none that is judged against a reference answer, nor one with a temperature of its own."""


@dataclass(frozen=True)
class JudgeScorer:
    """Mean rating over the turns and samples of an item; None if a turn has no rating, as its judgments failed."""

    model: OpenModel
    bench: Bench
    """Whose judge prompts are used."""
    settings: ScorerSettings
    layout: Layout
    """Where the answers are kept."""
    replies: Path
    """Where the judge's replies are kept, unless its settings say: no trial that was killed pays for them again."""
    unit: str = "rating from 1 to 10"

    def score(self, prompt_set: PromptSet, items: Sequence[DevItem]) -> list[float | None]:
        questions = tuple(Question(question_id=item.row, category=CATEGORY, turns=item.queries) for item in items)
        answers = generate_answers(
            self.model,
            questions,
            prompt_set,
            self.settings.decoding,
            self.layout,
            f"{prompt_set.sha256[:16]}_{_sha256([item.row for item in items])[:8]}",
            self.settings.clean_up,
        )
        judgments = grade(self._bench(questions), answers, self.judge)
        if judgments and all(judgment.status == "no_answer" for judgment in judgments):
            raise UserError(
                f"the judge {self.judge.model!r} answered none of {len(judgments)} requests: {judgments[0].judgment} "
                "(nothing of this trial was kept; the same command continues)"
            )
        return [mean_rating(judgments, question) for question in questions]

    @property
    def judge(self) -> JudgeSettings:
        if self.settings.judge is None:
            raise ValueError("settings of the kind `judge` have a judge")
        if self.settings.judge.cache is not None:
            return self.settings.judge
        return self.settings.judge.model_copy(update={"cache": self.replies})

    def _bench(self, questions: tuple[Question, ...]) -> Bench:
        content = [self.bench.sha256, [question.model_dump(mode="json") for question in questions]]
        return replace(
            self.bench, name="dev set", questions=questions, references={}, reference_source="", sha256=_sha256(content)
        )


def mean_rating(judgments: Sequence[Judgment], question: Question) -> float | None:
    """Over turns and samples, each with the mean of its repeated judgments; None if one has no rating."""
    ratings: dict[tuple[int, int], list[float]] = defaultdict(list)
    for judgment in judgments:
        if judgment.question_id == question.question_id:
            ratings[judgment.sample, judgment.turn] += [] if judgment.failed else [judgment.score]
    judged = {turn for _, turn in ratings}
    if len(judged) < len(question.turns) or not all(ratings.values()):
        return None
    return fmean(fmean(values) for values in ratings.values())


def _sha256(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
