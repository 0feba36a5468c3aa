from __future__ import annotations

import numpy as np

from ia2_eval.leaderboard.results.outcomes import Outcomes
from ia2_eval.leaderboard.significance.pairs import match


def outcomes(correct, confidence=0.5, gold="gold"):
    right = np.array([letter == "1" for letter in correct])
    return Outcomes(right, np.full(len(right), confidence, dtype=np.float64), gold)


def test_seeds_are_matched_and_others_counted():
    pairs = match(
        {2: outcomes("110"), 0: outcomes("100"), 5: outcomes("111")},
        {0: outcomes("000"), 2: outcomes("011"), 7: outcomes("1")},
    )
    assert (pairs.seeds, pairs.unmatched, pairs.refused) == ((0, 2), 2, ())
    assert pairs.answers.correct.tolist() == [[True, False, False], [True, True, False]]
    assert pairs.accuracy_differences.tolist() == [[1, 0, 0], [1, 0, -1]]


def test_what_has_no_seed_stands_beside_every_seed():
    no_icl, icl = {None: outcomes("10")}, {1: outcomes("11"), 0: outcomes("00")}
    pairs = match(icl, no_icl)
    assert (pairs.seeds, pairs.unmatched) == ((0, 1), 0)
    assert pairs.against.correct.tolist() == [[True, False], [True, False]]
    assert match(no_icl, icl).answers.correct.tolist() == [[True, False], [True, False]]
    assert match(no_icl, {None: outcomes("01")}).seeds == (None,)


def test_other_examples_are_refused_and_named():
    pairs = match({0: outcomes("10"), 1: outcomes("10")}, {0: outcomes("10"), 1: outcomes("10", gold="other")})
    assert pairs.seeds == (0,)
    assert pairs.refused == ("seed 1: the two answered other examples (the right answers differ)",)
    both = {0: outcomes("10"), 1: outcomes("10", gold="other")}
    assert match(both, both).refused == ("seed 1: answered other examples than seed 0 (the right answers differ)",)


def test_nothing_in_common():
    pairs = match({0: outcomes("10")}, {1: outcomes("10")})
    assert (pairs.seeds, pairs.unmatched) == ((), 2)
    assert match({}, {}).seeds == ()


def test_confidence_is_known_where_both_know_it():
    one = Outcomes(np.ones(3, dtype=bool), np.array([0.5, np.nan, 0.5]), "gold")
    other = Outcomes(np.ones(3, dtype=bool), np.array([np.nan, 0.5, 0.5]), "gold")
    assert match({0: one}, {0: other}).known.tolist() == [[False, False, True]]
