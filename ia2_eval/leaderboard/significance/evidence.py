"""What one test says about one difference."""

from __future__ import annotations

from typing import Literal, NamedTuple

LEVEL = 0.05
"""Of every test; intervals hold the truth with probability 1 - LEVEL."""

TestName = Literal["mcnemar", "bootstrap", "t", "wilcoxon", "crossed", "clusters"]

Unit = Literal["examples", "seeds", "datasets"]


class Evidence(NamedTuple):
    """Of one test. None is what the data cannot tell, such as the spread of one seed."""

    test: TestName
    p: float | None  # two-sided, of a difference of 0
    ci_low: float | None = None  # 95 % interval of the difference
    ci_high: float | None = None
    unit: Unit | None = None  # what there must be more of for more power
    units: int | None = None  # there are
    needed: float | None = None  # in all, for 80 % power if the true difference is the observed one; inf: never
    detectable: float | None = None  # true difference that this many units find with 80 % power
