"""Mean, spread and interval of a metric over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import fsum, sqrt
from typing import Literal, NamedTuple

IntervalKind = Literal["t", "bootstrap"]

INTERVALS: dict[IntervalKind, str] = {
    "t": "over seeds by Student's t",
    "bootstrap": "over examples by bootstrap for no ICL or a single seed",
}
"""What a 95 % interval is, for readers."""


def describe_intervals(found: Iterable[IntervalKind | None]) -> list[str]:
    """What the 95 % intervals are, for the kinds that are there."""
    kinds = set(found)
    return [text for kind, text in INTERVALS.items() if kind in kinds]


class Summary(NamedTuple):
    """A value that cannot be known from the data (the sample std of one seed) is None."""

    mean: float
    std: float | None
    ci_low: float | None
    ci_high: float | None
    interval: IntervalKind | None


def summarise(values: Sequence[float], ddof: int, bootstrap: tuple[float, float] | None = None) -> Summary:
    """Mean over seeds, std with `ddof` (1: sample, 0: population) and a 95 % interval of the mean.

    With k >= 2 values the interval is Student's: mean ± t(0.975, k - 1) s / sqrt(k), s the sample std whatever `ddof`
    is reported. With one value it is the given interval over examples, if any.

    Args:
        values: one per seed, at least one.
        ddof: delta degrees of freedom of the reported std.
        bootstrap: 95 % interval over the examples of a single seed.
    """
    count = len(values)
    mean = fsum(values) / count
    squares = fsum((value - mean) ** 2 for value in values)
    std = sqrt(squares / (count - ddof)) if count > ddof else None
    if count == 1:
        low, high = bootstrap or (None, None)
        return Summary(mean, std, low, high, "bootstrap" if bootstrap else None)
    from scipy.special import stdtrit

    half_width = float(stdtrit(count - 1, 0.975)) * sqrt(squares / (count - 1) / count)
    return Summary(mean, std, mean - half_width, mean + half_width, "t")
