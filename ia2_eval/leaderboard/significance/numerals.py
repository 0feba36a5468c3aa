"""How the numbers of a comparison are written, the same in every table."""

from __future__ import annotations

from math import isinf

from ia2_eval.leaderboard.significance.comparison import Comparison
from ia2_eval.leaderboard.tables.table import ABSENT

MOST = 1000
"""More seeds or datasets than these are not told apart: nobody can have them."""
ROUNDING = 1e-12


def in_units(comparison: Comparison, value: float, sign: str = "+") -> str:
    """Accuracy in percentage points, ECE as it is. Where the usual decimals would show zeros only, of the difference
    and of both ends of its interval, one significant digit of each is shown instead. A zero has no sign.
    """
    scale, decimals = (100, 1) if comparison.metric == "acc" else (1, 3)
    ends = (comparison.difference, comparison.interval.ci_low, comparison.interval.ci_high)
    largest = scale * max(abs(end) for end in ends if end is not None)
    style = ".0e" if ROUNDING < largest < 2 * 10**-decimals else f".{decimals}f"
    text = f"{scale * value:{sign}{style}}" if abs(value) > ROUNDING else f"{0:.{decimals}f}"
    return text if float(text) else text.lstrip("+-")


def interval_ends(comparison: Comparison) -> tuple[str, str] | None:
    """Of the 95 % interval of the difference; None where it is not known."""
    low, high = comparison.interval.ci_low, comparison.interval.ci_high
    if low is None or high is None:
        return None
    return in_units(comparison, low), in_units(comparison, high)


def more_units(comparison: Comparison) -> str:
    """How many more seeds, examples or datasets have 80 % power, without their name: such as `+12`."""
    needed, unit, units = comparison.primary.needed, comparison.primary.unit, comparison.primary.units
    if needed is None or units is None:
        return ABSENT
    if isinf(needed):
        return "never"
    more = max(0, int(needed) - units)
    return f"> {MOST}" if more > MOST and unit != "examples" else f"+{more}"


def p_text(p: float | None) -> str:
    """Three decimals; below them, that it is below."""
    return ABSENT if p is None else "<.001" if p < 0.001 else f"{p:.3f}"
