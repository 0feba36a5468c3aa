"""The scorers: log-likelihood against a slow computation, ratings by hand and by the trial judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
import torch

from ia2_eval.embedded.datasets import DATASETS
from ia2_eval.errors import UserError
from ia2_eval.mtbench.bench import Bench
from ia2_eval.mtbench.generation.backends import get_backend
from ia2_eval.mtbench.generation.models import OpenModel
from ia2_eval.mtbench.judging.judgments import FAILED_SCORE, Judgment
from ia2_eval.mtbench.layout import Layout
from ia2_eval.mtbench.prompts.builders import build_prompt_set
from ia2_eval.mtbench.prompts.prompt_set import Demonstration, PromptSet, Turn
from ia2_eval.mtbench.questions import Question
from ia2_eval.mtbench.search import judge_scorer
from ia2_eval.mtbench.search.data import DevItem
from ia2_eval.mtbench.search.judge_scorer import JudgeScorer, mean_rating
from ia2_eval.mtbench.search.recipe import ScorerSettings
from ia2_eval.mtbench.search.room import Room
from ia2_eval.mtbench.search.scorers import LogLikelihoodScorer
from tests.mtbench.faulty_judge import FaultyJudge
from tests.mtbench.judged_answers import quick

NONE = PromptSet(name="none", text="")
LOG_LIKELIHOOD = ScorerSettings(kind="log_likelihood")


def stories(split: str, count: int) -> list[Demonstration]:
    rows = DATASETS["arithmetic"].rows(split)[:count]
    return [Demonstration(turns=(Turn(query=row["question"], answer=row["answer"].strip()),)) for row in rows]


def items(count: int, turns: int = 1) -> list[DevItem]:
    found = stories("test", count * turns)
    return [DevItem(i + 1, tuple(each.turns[0] for each in found[i * turns : (i + 1) * turns])) for i in range(count)]


def headlines(split: str, count: int) -> list[DevItem]:
    rows = DATASETS["mood"].rows(split)[:count]
    return [DevItem(i, (Turn(query=row["text"], answer=str(row["label"])),)) for i, row in enumerate(rows, start=1)]


def slowly(model: OpenModel, prompt_set: PromptSet, item: DevItem) -> float:
    """Token by token, one forward pass for each turn, with nothing shared."""
    transformer, tokenizer = model.transformer
    text, total, count = f"{prompt_set.text}\n" if prompt_set.text else "", 0.0, 0
    for turn in item.turns:
        text += f"# Query:\n```\n{turn.query}\n```\n\n# Answer:\n```"
        context = len(tokenizer(text)["input_ids"])
        text += f"\n{turn.answer}"
        ids = torch.tensor(tokenizer(text)["input_ids"])
        with torch.no_grad():
            log_probabilities = transformer(ids[None]).logits[0].float().log_softmax(-1)  # [T, V]
        total += sum(float(log_probabilities[place - 1, ids[place]]) for place in range(context, len(ids)))
        count += len(ids) - context
        text += "\n```\n\n"
    return total / count


@pytest.mark.parametrize("turns", [1, 2])
@pytest.mark.parametrize("shown", [0, 3])
def test_log_likelihood_equals_a_slow_computation(embedded_model: OpenModel, shown: int, turns: int) -> None:
    prompt_set = build_prompt_set("shown", "Add up." if shown else "", stories("train", shown))
    scored = items(5, turns)
    scores = LogLikelihoodScorer(embedded_model).score(prompt_set, scored)
    assert scores == pytest.approx([slowly(embedded_model, prompt_set, item) for item in scored], abs=1e-4)


def test_demonstrations_help_on_other_items_too(embedded_model: OpenModel) -> None:
    scorer, scored, pool = LogLikelihoodScorer(embedded_model), headlines("test", 40), headlines("train", 8)

    def mean(chosen: Sequence[DevItem], on: Sequence[DevItem]) -> float:
        shown = build_prompt_set("shown", "", [Demonstration(turns=item.turns) for item in chosen])
        return fmean(score for score in scorer.score(shown, on) if score is not None)

    chosen: list[DevItem] = []
    scores = [mean(chosen, scored[10:])]
    for _ in range(2):
        chosen.append(max(pool, key=lambda item: mean([*chosen, item], scored[:10])))
        scores.append(mean(chosen, scored[10:]))
    assert scores[0] + 0.5 < scores[1] < scores[2] - 0.5


def test_an_infinite_log_likelihood_is_no_score(embedded_model: OpenModel, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [(float("-inf"), False), (-8.0, False)]
    monkeypatch.setattr(embedded_model.lm, "loglikelihood", lambda requests, disable_tqdm: answers)
    scores = LogLikelihoodScorer(embedded_model).score(NONE, items(2))
    assert scores[0] is None and scores[1] is not None


def test_an_endpoint_gives_no_log_likelihoods(embedded_model: OpenModel) -> None:
    remote = replace(embedded_model, backend=get_backend("local-completions"))
    with pytest.raises(UserError, match="not local-completions: use the scorer judge"):
        LogLikelihoodScorer(remote)


def test_a_set_that_leaves_no_room(embedded_model: OpenModel) -> None:
    scored = [*items(2), DevItem(9, (Turn(query="x " * 300, answer="y"),))]
    room = Room.of(embedded_model, scored, LOG_LIKELIHOOD, NONE)
    assert room.longest is scored[-1] and room.lacking(NONE) is None
    long = build_prompt_set("long", "x" * 8000, ())
    needed = len(embedded_model.lm.tok_encode(long.prompt([scored[-1].turns[0].query]) + "y"))
    assert needed > 8192
    assert room.lacking(long) == (f"needs {needed} tokens with the longest item, and the context of the model has 8192")
    judged = ScorerSettings.model_validate({"kind": "judge", "judge": "trial", "decoding": {"max_new_tokens": 8192}})
    assert "needs" in (Room.of(embedded_model, scored, judged, NONE).lacking(NONE) or "")


def judgment(turn: int, score: float, sample: int = 0, repeat: int = 0, question_id: int = 1) -> Judgment:
    return Judgment(
        question_id=question_id,
        model="m",
        judge=("j", "single-v1"),
        judgment="",
        score=score,
        turn=turn,
        tstamp=0,
        sample=sample,
        repeat=repeat,
    )


def test_a_mean_rating_by_hand() -> None:
    question = Question(question_id=1, category="general", turns=("a", "b"))
    others = [judgment(1, 10, question_id=2), judgment(2, 10, question_id=2)]
    repeated = [judgment(1, 4), judgment(1, 6, repeat=1), judgment(2, 8), judgment(2, FAILED_SCORE, repeat=1)]
    assert mean_rating([*others, *repeated], question) == (5 + 8) / 2
    sampled = [judgment(1, 2), judgment(2, 4), judgment(1, 6, sample=1), judgment(2, 8, sample=1)]
    assert mean_rating(sampled, question) == 5


@pytest.mark.parametrize(
    "judgments",
    [
        [judgment(1, 9), judgment(2, FAILED_SCORE)],
        [judgment(1, 9)],
        [judgment(1, 9), judgment(2, 9), judgment(1, FAILED_SCORE, sample=1), judgment(2, 9, sample=1)],
        [],
    ],
)
def test_a_turn_without_a_rating_is_no_score(judgments: list[Judgment]) -> None:
    assert mean_rating(judgments, Question(question_id=1, category="general", turns=("a", "b"))) is None


@pytest.fixture
def judging(embedded_model: OpenModel, trial_bench: Bench, tmp_path: Path) -> JudgeScorer:
    settings = {"kind": "judge", "judge": "trial", "bench": "trial", "decoding": {"max_new_tokens": 3}}
    scorer = ScorerSettings.model_validate(settings)
    return JudgeScorer(embedded_model, trial_bench, scorer, Layout(tmp_path), tmp_path / "judge_replies")


def test_the_trial_judge_rates_generated_answers(judging: JudgeScorer) -> None:
    scored = items(2, turns=2)
    scores = judging.score(NONE, scored)
    assert all(score is not None and 1 <= score <= 10 for score in scores)
    assert judging.score(NONE, scored) == scores
    (model_id,) = judging.layout.model_ids()
    assert model_id.startswith(NONE.sha256[:16])
    judging.score(NONE, scored[:1])
    assert len(judging.layout.model_ids()) == 2  # other items, other answers


def test_a_killed_trial_does_not_pay_for_its_judgments_again(judging: JudgeScorer, tmp_path: Path) -> None:
    with FaultyJudge(lambda prompt: []) as judge:
        judged = quick(judge.url)
        killed = replace(judging, settings=judging.settings.model_copy(update={"judge": judged}))
        scores = killed.score(NONE, items(2))
        assert judge.requests == 2
        assert killed.score(NONE, items(2)) == scores
        assert judge.requests == 2
    assert len(list((tmp_path / "judge_replies").iterdir())) == 2
    own = judged.model_copy(update={"cache": tmp_path / "own"})
    assert replace(judging, settings=judging.settings.model_copy(update={"judge": own})).judge == own


def test_a_judge_that_answers_nothing_ends_the_search(judging: JudgeScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = judgment(1, FAILED_SCORE).model_copy(update={"status": "no_answer", "judgment": "connection refused"})
    monkeypatch.setattr(judge_scorer, "grade", lambda bench, answers, settings: [silent] * len(answers))
    with pytest.raises(UserError, match=r"'trial' answered none of 2 requests: connection refused .*same command"):
        judging.score(NONE, items(2))
