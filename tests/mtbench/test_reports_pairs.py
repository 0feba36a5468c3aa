from argparse import Namespace

import pytest
from report_rows import SHARED, match, write_rows

from ia2_eval.errors import UserError
from ia2_eval.mtbench.judging.judgments import read_pair_judgments
from ia2_eval.mtbench.reports.pairwise import PairScores, Rate, pair_scores

ROWS = [
    match(1, "model_1", "model_1"),  # a wins; first position: 1, 0
    match(2, "model_2", "model_2"),  # b wins: 0, 1
    match(3, "model_1", "model_2"),  # a tie by position: 1, 1
    match(4, "tie", "tie"),  # no verdict
    match(5, "tie", "model_2"),  # a tie; 1
    match(6, "error", "model_1"),  # left out
    match(7, "model_1", "model_1", models=("b", "c"), turn=2),
]


def value(scored: PairScores, rate: Rate, turn: int | None = None) -> float:
    estimate = scored.rate(rate, turn)
    assert estimate is not None
    return estimate.value


def test_rates_by_hand() -> None:
    by_model = {scored.model: scored for scored in pair_scores(ROWS, {})}
    a, b = by_model["a"], by_model["b"]
    assert (a.wins, a.losses, a.ties, a.n_failed) == (1, 1, 3, 1)
    assert (b.wins, b.losses, b.ties, b.n_failed) == (2, 1, 3, 1)
    assert value(a, "win_rate") == value(a, "loss_rate") == pytest.approx(1 / 5)
    assert value(a, "win_rate_adjusted") == pytest.approx(2.5 / 5)
    assert value(b, "win_rate_adjusted") == pytest.approx(3.5 / 6)
    assert value(a, "consistency") == pytest.approx(3 / 5)
    assert value(a, "first_position") == pytest.approx(5 / 7)
    assert value(b, "win_rate", turn=2) == 1 and value(by_model["c"], "loss_rate") == 1
    assert list(by_model) == ["b", "a", "c"]  # by adjusted win rate


def test_baseline_is_the_only_opponent() -> None:
    found = pair_scores(ROWS, {}, baseline="b")
    assert [(scored.model, scored.wins, scored.losses, scored.ties) for scored in found] == [
        ("a", 1, 1, 3),
        ("c", 0, 1, 0),
    ]


def test_a_match_is_the_same_with_models_swapped() -> None:
    rows = [match(1, "model_1", "model_1"), match(1, "model_1", "model_1", models=("b", "a"))]
    (last, _) = pair_scores(rows, {}, "last")
    assert (last.model, last.wins, last.n_duplicates) == ("b", 1, 1)
    (first, _) = pair_scores(rows, {}, "first")
    assert (first.model, first.wins) == ("a", 1)
    with pytest.raises(UserError, match="no mean"):
        pair_scores(rows, {}, "mean")


@pytest.mark.parametrize("baseline", [None, "b"])
def test_equals_fastchat(tmp_path, capsys, baseline: str | None) -> None:  # type: ignore[no-untyped-def]
    from fastchat.llm_judge.show_result import display_result_pairwise

    path = write_rows(tmp_path / "pairs.jsonl", ROWS)
    arguments = Namespace(input_file=str(path), model_list=None, baseline_model=baseline)
    display_result_pairwise(arguments)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    shown = {line[0]: [float(number) for number in line[1:]] for line in lines if len(line) == 7}
    found = pair_scores(read_pair_judgments(path), {}, "pool", baseline)
    assert {scored.model for scored in found} == set(shown)
    for scored in found:
        rates: tuple[Rate, ...] = ("win_rate", "loss_rate", "win_rate_adjusted")
        ours = [scored.wins, scored.losses, scored.ties, *(value(scored, rate) for rate in rates)]
        assert ours == pytest.approx(shown[scored.model], abs=1e-5)


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data/mt_bench, real judgments")
def test_real_judgments() -> None:
    found = pair_scores(read_pair_judgments(SHARED / "skycamp" / "model_judgment" / "gpt-4_pair.jsonl"), {})
    assert [(scored.model, scored.wins, scored.losses, scored.ties) for scored in found] == [
        ("gpt-4", 3, 1, 1),
        ("gpt-3.5-turbo", 1, 3, 1),
    ]
