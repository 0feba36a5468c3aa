"""Exact McNemar test of two columns that answered the same examples; with several seeds, clustered by example."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ia2_eval.leaderboard.significance.evidence import Evidence
from ia2_eval.leaderboard.significance.power import examples_needed
from ia2_eval.leaderboard.significance.sign_flips import sign_flip_p

Bools = NDArray[np.bool_]


def mcnemar_p(correct: Bools, other: Bools) -> float:
    """Exact conditional test of equal accuracy of these checkpoints on examples like these.

    An example is one unit, whatever the number of seeds: its net count D_i = sum over seeds of (right - other right) is
    taken with either sign. That is the exact form of Durkalski's McNemar test for clustered pairs (Statistics in
    Medicine 22, 2003), whose normal form is sum D_i / sqrt(sum D_i^2); with one seed it is the binomial test of b
    against c, not the mid-p one, so its level is kept for every n. With several it is where D is symmetric around 0,
    and nearly where only its mean is 0.

    Args:
        correct: [S, n], whether the answer of each seed to each example is right.
        other: [S, n], of the other column.
    """
    return sign_flip_p(_net(correct, other))


def mcnemar(correct: Bools, other: Bools) -> Evidence:
    """The same test with its power."""
    net = _net(correct, other)
    per_example = net / len(correct)
    return Evidence(
        "mcnemar",
        sign_flip_p(net),
        unit="examples",
        units=len(net),
        needed=examples_needed(float(per_example.mean()), float(per_example.std())),
    )


def _net(correct: Bools, other: Bools) -> NDArray[np.int64]:
    net: NDArray[np.int64] = correct.astype(np.int64).sum(axis=0) - other.astype(np.int64).sum(axis=0)
    return net


def discordant(correct: Bools, other: Bools) -> tuple[int, int]:
    """b and c: answers of which only this column's, only the other's is right; over all seeds."""
    return int((correct & ~other).sum()), int((~correct & other).sum())
