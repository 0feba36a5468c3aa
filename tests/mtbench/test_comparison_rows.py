"""Rows, tables and the figure, from results made by hand."""

from __future__ import annotations

import csv
import io
from math import isnan, nan, sqrt

import matplotlib
import pytest

from ia2_eval.mtbench.answers import Choice, ModelAnswer
from ia2_eval.mtbench.comparison.arms import Arm
from ia2_eval.mtbench.comparison.plot import comparison_figure
from ia2_eval.mtbench.comparison.records import ArmRecord
from ia2_eval.mtbench.comparison.rows import Row, result_rows, to_csv
from ia2_eval.mtbench.comparison.run import Outcome
from ia2_eval.mtbench.comparison.table import comparison_tables, left_out
from ia2_eval.mtbench.judging.judge_settings import JudgeSettings
from ia2_eval.mtbench.judging.judgments import FAILED_SCORE, Judgment
from ia2_eval.mtbench.reports.scores import scores

matplotlib.use("Agg")
JUDGE = JudgeSettings(model="gpt-4")


def outcome(method: str, n: int | None = None, seed: int | None = None, held_out: tuple[float, ...] = ()) -> Outcome:
    arm = Arm(method, n, seed)
    answers = tuple(
        ModelAnswer(
            question_id=question,
            model_id=arm.model_id,
            choices=(Choice(index=0, turns=("one two", " " if question == 1 else "a b c")),),
        )
        for question in (1, 2)
    )
    return Outcome(arm, ArmRecord(model_id=arm.model_id, status="done", held_out=held_out), answers)


def judgments(of: Outcome, ratings: dict[tuple[int, int], float]) -> list[Judgment]:
    return [
        Judgment(
            question_id=question,
            model=of.arm.model_id,
            judge=("gpt-4", "single-v1"),
            judgment="",
            score=score,
            turn=turn,
            tstamp=0,
        )
        for (question, turn), score in ratings.items()
    ]


SKIPPED = Outcome(Arm("icl", 9, 0), ArmRecord(model_id="icl_n9_s0", status="skipped", reason="9999 tokens"))
BASE = outcome("no_icl", held_out=(-4.0, -6.0))
ICL = [outcome("icl", 3, seed, (-2.0 - seed, -3.0)) for seed in (0, 1)]
SFT = [outcome("sft", 3, seed) for seed in (0, 1)]
OUTCOMES = [*SFT, SKIPPED, *ICL, BASE]
JUDGED = [
    *judgments(BASE, {(1, 1): 2, (2, 1): 4}),
    *judgments(ICL[0], {(1, 1): 4, (2, 1): 6, (1, 2): 3}),
    *judgments(ICL[1], {(1, 1): 5, (2, 1): 9, (1, 2): 5}),
    *judgments(SFT[0], {(1, 1): 5, (2, 1): 6, (1, 2): 8}),
    *judgments(SFT[1], {(1, 1): 7, (2, 1): FAILED_SCORE, (1, 2): 8}),
]
ROWS = result_rows(OUTCOMES, {scored.model: scored for scored in scores(JUDGED, {})})


def row(method: str, measure: str, turn: int, n: int | None = 3, seed: int | None = None) -> Row:
    (found,) = (each for each in ROWS if each[:5] == (method, n, seed, measure, turn))
    return found


def test_a_row_is_the_mean_over_questions_and_seeds() -> None:
    score = row("icl", "score", 1)
    assert score.estimate.value == (4 + 6 + 5 + 9) / 4
    assert (score.estimate.n, score.estimate.questions, score.seeds) == (4, 2, 2)
    assert score.seed_sd == pytest.approx(sqrt(2))  # of 5 and 7
    # a resample holds one question twice, with both seeds, or each once
    assert (score.estimate.lower, score.estimate.upper) == (4.5, 7.5)
    assert row("icl", "score", 1, seed=1).estimate.value == 7


def test_a_rating_that_failed_is_in_no_mean() -> None:
    assert row("sft", "score", 1).estimate.value == 6
    assert row("sft", "score", 1, seed=1).estimate.n == 1


def test_differences_are_paired_by_question_and_seed() -> None:
    difference = row("sft", "difference", 1)
    assert difference.estimate.value == pytest.approx(((5 - 4) + (6 - 6) + (7 - 5)) / 3)
    assert row("sft", "difference", 2).estimate.value == ((8 - 3) + (8 - 5)) / 2
    assert isnan(row("sft", "difference", 2).estimate.lower)  # all of one question
    assert not [each for each in ROWS if each.measure == "difference" and each.method != "sft"]


def test_likelihood_and_degeneration() -> None:
    assert row("icl", "log_likelihood", 1).estimate.value == (-2 - 3 - 3 - 3) / 4
    assert row("no_icl", "log_likelihood", 1, n=None).seed_sd is None
    assert not [each for each in ROWS if each.method == "sft" and each.measure == "log_likelihood"]
    assert row("sft", "empty", 2).estimate.value == 0.5
    assert row("sft", "words", 1).estimate.value == 2


def test_methods_are_in_order() -> None:
    assert list(dict.fromkeys(each.method for each in ROWS)) == ["no_icl", "icl", "sft"]


def test_csv() -> None:
    lines = list(csv.DictReader(io.StringIO(to_csv(ROWS, "gpt-4"))))
    assert len(lines) == len(ROWS)
    (line,) = (
        each
        for each in lines
        if (each["method"], each["measure"], each["turn"]) == ("sft", "difference", "2") and not each["seed"]
    )
    assert (line["value"], line["lower"], line["judge"], line["seeds"]) == ("4.0", "", "gpt-4", "2")
    assert {each["judge"] for each in lines if each["measure"] == "words"} == {""}


def test_captions_explain_what_the_cells_have() -> None:
    whole = comparison_tables(ROWS, JUDGE, 0)[0].caption[0]
    assert "[ ]: 95 % percentile bootstrap" in whole and "±" in whole
    single = [row._replace(seed_sd=None, estimate=row.estimate._replace(lower=nan, upper=nan)) for row in ROWS]
    for table in comparison_tables(single, JUDGE, 0):
        assert "[ ]" not in table.caption[0] and "±" not in table.caption[0]


def test_tables() -> None:
    with_scores, without = comparison_tables(ROWS, JUDGE, dev=7)
    icl = next(line for line in with_scores.rows if line[0] == ("ICL, N=3",))
    assert icl[1] == ("6.00 ± 1.41", "[4.50, 7.50]")
    assert any("7 further labelled examples" in line for line in with_scores.caption)
    assert [table.title for table in comparison_tables(ROWS, None, 0)] == [without.title]
    assert any("judges nothing" in line for line in comparison_tables(ROWS, JudgeSettings(model="trial"), 0)[0].caption)
    assert left_out(OUTCOMES) == ("icl_n9_s0 skipped: 9999 tokens",)


@pytest.mark.parametrize("judge", ["gpt-4", None])
def test_figure(judge: str | None) -> None:
    figure = comparison_figure(ROWS, OUTCOMES, judge, "title")
    titles = [axis.get_title() for axis in figure.axes]
    likelihood = "Held-out answers, turn 1"
    assert titles == (["Turn 1", "Turn 2", likelihood] if judge else [likelihood, "Turn 1", "Turn 2"])
    turn_1 = figure.axes[titles.index("Turn 1")]
    assert [tick.get_text() for tick in turn_1.get_xticklabels()] == ["3", "9"]
    assert turn_1.get_ylim() == figure.axes[titles.index("Turn 2")].get_ylim()
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["no ICL", "ICL", "SFT", "no result (skipped or failed)"]
