"""What counts as a rating."""

import json
import time
from pathlib import Path

import pytest

from ia2_eval.mtbench.judging.ratings import parse_rating, parse_verdict

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "mt_bench"


@pytest.mark.parametrize(
    ("text", "rating"),
    [
        ("Good. Rating: [[7]]", 7),
        ("[[7.5]]", 7.5),
        ("[[ 8 ]]", 8),
        ("[[08]]", 8),
        ("[[10]]", 10),
        ("[[1]]", 1),
        ("[[7.25]]", 7.25),
        ("[[8/10]]", 8),
        ("[[ 8.5 / 10 ]]", 8.5),
        ("[[rating: 7]]", 7),
        ("[[Rating 7]]", 7),
        ("**[[7]]**", 7),
        ("**Rating: [[7]]**.", 7),
        (r"Rating: \[\[7\]\]", 7),
        ("[[8]]/10", 8),
        ("[[8]] out of 10", 8),
        ("[[8 out of 10]]", 8),
        ("Rating[[7]]", 7),
        ("最终评分为[[7]]", 7),
        ("Rating：8", 8),
        ('{"rating": 7}', 7),
        ("Rating: 8.0/10.0", 8),
        ("Rating: 8 / 10", 8),
        ("[[８]]", 8),
        ("[[٧]]", 7),
        ("Rating: 7", 7),
        ("Rating: 7.", 7),
        ("**Rating:** 7.5\nThank you.", 7.5),
        ('"Rating": 7/10', 7),
        ("rating = 6 out of 10", 6),
        ("My rating: [9]", 9),
    ],
)
def test_what_a_judge_means_by_its_rating_is_read(text, rating):
    assert parse_rating(text) == rating


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A fine answer.",
        "[[11]]",
        "[[0]]",
        "[[0.5]]",
        "[[10.5]]",
        "[[100]]",
        "[[-5]]",
        "[[6-7]]",
        "[[6 to 7]]",
        "[[7,5]]",
        "[[8/9]]",
        "[[8/100]]",
        "[[80%]]",
        "[[7+]]",
        "[[seven]]",
        "[[rating]]",
        "[[A]]",
        "[7]",
        "As shown in [3], the moon is far.",
        "7/10",
        "See [[3]](https://example.org/3).",
        "In R, x[[2]] is the second element.",
        "A matrix: [[1, 2], [3, 4]].",
        "Rating: 11",
        "Rating: 6-7",
        "Rating: 6 - 7",
        "Rating: 6 – 7",
        "Rating: 6 or 7",
        "Rating: **6** to **7**",
        "Rating: 4 out of 5",
        "Rating: 4 / 5",
        "Rating: [4]/5",
        "**Rating: 4**/5",
        "Rating: 4 (out of 5)",
        "[[4]]/5",
        "[[4]] out of 5",
        "[[6]] or [[7]]",
        "**[[6]]** - **[[7]]**",
        "Rating:\n\n1. The answer is helpful.",
        "Rating: 7/100",
        "Rating: 70%",
        "Depth rating: 6. Style rating: 8.",
        "[[²]]",
        "[[\n7]]",
    ],
)
def test_what_is_not_clearly_a_rating_from_1_to_10_is_none(text):
    assert parse_rating(text) is None


@pytest.mark.parametrize(
    ("text", "rating"),
    [
        ('As in "Rating: [[5]]", I write: Rating: [[9]]', 9),
        ("First [[4]], no: [[6]].", 6),
        ("[[7]] (the form was [[rating]])", 7),
        ("[[7]] See [[3]](https://example.org).", 7),
        ("[[7]] as for x[[1]] ...", 7),
        ("[[7]] Final rating: 7", 7),
    ],
)
def test_the_final_rating_wins(text, rating):
    assert parse_rating(text) == rating


@pytest.mark.parametrize(
    "text",
    [
        "[[7]], or rather [[11]]",
        "[[7]], or [[6-7]]",
        "[[5]] is the form. Rating: 8",
        "[[5]] is the form. Rating: [[seven]]",
        "[[5]] is the form. Rating: [[N/A]]",
    ],
)
def test_an_earlier_rating_does_not_stand_in_for_a_final_one_that_is_unclear(text):
    assert parse_rating(text) is None


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("[[A]]", "A"),
        ("So: [[B]].", "B"),
        ("**[[C]]**", "tie"),
        ("[[ A ]]", "A"),
        ("更好的是[[B]]", "B"),
        ("[[Assistant B]]", "B"),
        ('"[[A]]", "[[B]]" or "[[C]]"? I say [[B]]', "B"),
        ("A is better", None),
        ("[[D]]", None),
        ("[[a]]", None),
        ("[A]", None),
        ("[[A>B]]", None),
        ("x[[A]]", None),
        ("", None),
    ],
)
def test_verdicts(text, verdict):
    assert parse_verdict(text) == verdict


@pytest.mark.parametrize("text", ["rating:{}x", "rating{}x", "[[{}x]]", "[[rating{}x]]", "[[A{}", "[[1{}", "[[1]]{}x"])
@pytest.mark.parametrize("filling", [" ", "\n", " \n", "\u3000", "[[1", "Rating: "])
def test_a_judge_that_went_astray_is_read_in_no_time(text, filling):
    begin = time.process_time()
    parse_rating(text.format(30_000 * filling))
    parse_verdict(text.format(30_000 * filling))
    assert time.process_time() - begin < 1


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real judgments are not here")
def test_every_real_judgment_is_read_as_it_was_recorded():
    singles = [SHARED / "judgments" / "medusa.jsonl", SHARED / "skycamp" / "model_judgment" / "gpt-4_single.jsonl"]
    rows = [json.loads(line) for path in singles for line in path.read_text().splitlines()]
    assert len(rows) > 480
    assert [parse_rating(row["judgment"]) for row in rows] == [row["score"] for row in rows]
    pairs = (SHARED / "skycamp" / "model_judgment" / "gpt-4_pair.jsonl").read_text().splitlines()
    for row in map(json.loads, pairs):
        for game, first, second in (("g1", "model_1", "model_2"), ("g2", "model_2", "model_1")):
            winner = {"A": first, "B": second, "tie": "tie"}[parse_verdict(row[f"{game}_judgment"])]
            assert winner == row[f"{game}_winner"]
