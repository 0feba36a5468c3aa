import re
from argparse import Namespace
from math import isnan, sqrt
from typing import get_args

import numpy as np
import pytest
from report_rows import SHARED, rated, write_rows

from ia2_eval.errors import UserError
from ia2_eval.mtbench.judging.judgments import read_judgments
from ia2_eval.mtbench.reports.captions import origin
from ia2_eval.mtbench.reports.duplicates import Duplicates
from ia2_eval.mtbench.reports.estimates import pooled_mean
from ia2_eval.mtbench.reports.scores import scores
from ia2_eval.mtbench.reports.sources import MT_BENCH_IDS
from ia2_eval.scoring.bootstrap import RESAMPLES

CATEGORIES = {1: "writing", 2: "writing", 3: "math"}
ROWS = [
    rated(1, 1, 8),
    rated(1, 2, 6),
    rated(2, 1, 7),
    rated(2, 2, -1),
    rated(3, 1, 3),
    rated(3, 2, 2),
]


def test_averages_pool_all_rated_rows() -> None:
    (scored,) = scores(ROWS, CATEGORIES)
    assert scored.average is not None and scored.part(1).score is not None and scored.part(2).score is not None
    assert scored.average.value == pytest.approx(26 / 5)  # not (6 + 4) / 2, the mean of the turns
    assert (scored.part(1).score.value, scored.part(2).score.value) == (6, 4)
    assert (scored.average.n, scored.average.questions, scored.part(2).score.n) == (5, 3, 2)
    assert {name: score.value for name, score in scored.categories.items()} == {"writing": 7, "math": 2.5}
    assert scored.part(1, "writing").score[0] == 7.5  # type: ignore[index]
    assert scored.n_failed == scored.part(2).n_failed == scored.part(category="writing").n_failed == 1
    assert scored.part(1).n_failed == scored.part(category="math").n_failed == 0


def test_nothing_rated_has_no_score() -> None:
    (scored,) = scores([rated(1, 1, -1), rated(2, 1, -1)], CATEGORIES)
    assert scored.average is None and scored.part(1).score is None and scored.part(2).score is None
    assert scored.categories == {} and scored.n_failed == 2


def test_interval_equals_an_obvious_loop_over_questions() -> None:
    rng = np.random.default_rng(1)
    questions = [int(q) for q in rng.integers(81, 93, size=40)]  # between 1 and 7 rows each
    values = [float(v) for v in rng.integers(1, 11, size=40)]
    ids = sorted(set(questions))
    means = []
    for draw in np.random.default_rng(0).integers(len(ids), size=(RESAMPLES, len(ids))):
        rows = []
        for i in draw:
            rows += [value for value, question in zip(values, questions, strict=True) if question == ids[i]]
        means.append(sum(rows) / len(rows))
    estimate = pooled_mean(values, questions)
    assert estimate is not None
    assert estimate[1:3] == pytest.approx(np.quantile(means, [0.025, 0.975]))
    assert estimate.value == pytest.approx(sum(values) / 40)
    assert (estimate.n, estimate.questions) == (40, len(ids))


def test_rows_of_a_question_stay_together() -> None:
    spread = [1.0, 9.0, 1.0, 9.0, 1.0, 9.0]
    together = pooled_mean(spread, [1, 1, 2, 2, 3, 3])
    apart = pooled_mean(spread, [1, 2, 3, 4, 5, 6])
    assert together is not None and apart is not None
    assert together[1:3] == (5, 5)
    assert apart.lower < 4 and apart.upper > 6


def test_one_question_has_no_interval() -> None:
    estimate = pooled_mean([3.0, 5.0], [7, 7])
    assert estimate is not None and estimate.value == 4
    assert isnan(estimate.lower) and isnan(estimate.upper)


@pytest.mark.parametrize(
    ("rule", "average", "n", "failed"),
    [("last", (5 + 7) / 2, 2, 0), ("first", (9 + 5) / 2, 2, 0), ("mean", (7 + 6) / 2, 2, 0), ("pool", 26 / 4, 4, 1)],
)
def test_duplicates(rule: Duplicates, average: float, n: int, failed: int) -> None:
    rows = [rated(1, 1, 9), rated(2, 1, 5), rated(1, 1, -1), rated(1, 1, 5), rated(2, 1, 7)]
    (scored,) = scores(rows, {}, rule)
    assert scored.average is not None
    assert (scored.average.value, scored.average.n, scored.n_failed) == (pytest.approx(average), n, failed)
    assert scored.n_duplicates == 3


def test_duplicates_refused() -> None:
    with pytest.raises(UserError, match=r"1 judgments are there more than once.*--duplicates"):
        scores([rated(1, 1, 9), rated(1, 1, 5)], {}, "error")
    scores(ROWS, {}, "error")  # none


def test_last_judgment_counts_even_if_it_failed() -> None:
    (scored,) = scores([rated(1, 1, 9), rated(1, 1, -1)], {}, "last")
    assert scored.average is None and scored.n_failed == 1


def test_repeats_and_samples_are_no_duplicates() -> None:
    rows = [rated(1, 1, 9), rated(1, 1, 5, repeat=1), rated(1, 1, 1, sample=1)]
    for rule in get_args(Duplicates):
        (scored,) = scores(rows, {}, rule)
        assert scored.n_duplicates == 0 and scored.average is not None and scored.average.value == 5


def test_noise_of_the_judge() -> None:
    rows = [rated(1, 1, 8, repeat=0), rated(1, 1, 6, repeat=1), rated(1, 1, 7, repeat=2)]  # squares: 2, freedom 2
    rows += [rated(1, 2, 5, repeat=0), rated(1, 2, 5, repeat=1), rated(1, 2, -1, repeat=2)]  # 0, 1
    rows += [rated(2, 1, 4)]  # once: no noise to see
    (scored,) = scores(rows, {})
    assert scored.noise is not None
    assert scored.noise.answers == 2
    assert scored.noise.deviation == pytest.approx(sqrt(2 / 3))
    assert scored.noise.changed == 0.5
    assert scored.noise.standard_error == pytest.approx(sqrt(2 / 3) / sqrt(6))
    (without,) = scores(ROWS, {})
    assert without.noise is None


def test_judges_are_never_mixed_and_models_sorted() -> None:
    rows = [rated(1, 1, 2, model="low"), rated(1, 1, 9, model="high"), rated(1, 1, 5, model="low", judge="other")]
    found = [(scored.judge, scored.model, scored.average and scored.average.value) for scored in scores(rows, {})]
    assert found == [("gpt-4", "high", 9), ("gpt-4", "low", 2), ("other", "low", 5)]


def test_drift_is_a_warning() -> None:
    rows = [
        rated(1, 1, 5, served_by="gpt-4-0613", date="2023-08-27"),
        rated(2, 1, 5, served_by="gpt-4-turbo", tstamp=1712000000.0),
    ]
    said = "\n".join(origin("gpt-4", scores(rows, {})))
    assert "gpt-4-0613 and gpt-4-turbo" in said and "2023-08-27 to 2024-04-01" in said
    assert said.count("Warning") == 2
    assert "Warning" not in "\n".join(origin("gpt-4", scores(rows[:1], {})))


def test_equals_fastchat(tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    from fastchat.llm_judge.show_result import display_result_single

    rows = [*ROWS, *(rated(q, t, 1 + (3 * q + t) % 9, model="other") for q in range(1, 6) for t in (1, 2)), ROWS[0]]
    path = write_rows(tmp_path / "judgments.jsonl", rows)
    display_result_single(Namespace(input_file=str(path), model_list=None, bench_name="mt_bench"))
    printed = capsys.readouterr().out
    for scored in scores(read_judgments(path), CATEGORIES, "pool"):
        for heading, score in (
            ("First turn", scored.part(1).score),
            ("Second turn", scored.part(2).score),
            ("Average", scored.average),
        ):
            block = printed.partition(heading)[2].partition("####\n")[2].partition("####")[0]
            shown = re.search(rf"^{scored.model} .*?([\d.]+)$", block, re.MULTILINE)
            assert shown is not None and score is not None
            assert float(shown[1]) == pytest.approx(score.value, abs=1e-6)


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data/mt_bench, real judgments")
def test_real_judgments() -> None:
    found = scores(read_judgments(SHARED / "judgments" / "medusa.jsonl"), MT_BENCH_IDS)
    values = {
        s.model.partition("-1-")[0]: tuple(x and x.value for x in (s.part(1).score, s.part(2).score, s.average))
        for s in found
    }
    assert values == {
        "vicuna-7b-v1.3": (6.73125, 5.475, 6.103125),
        "medusa-vicuna-7b-v1.3": (6.79375, 5.18125, 5.9875),
        "vicuna-7b-v1.3-greedy": (6.51875, 5.2375, 5.878125),
    }
    assert all(s.n_failed == s.n_duplicates == 0 and len(s.categories) == 8 for s in found)
    assert all(score.n == 20 for s in found for score in s.categories.values())
