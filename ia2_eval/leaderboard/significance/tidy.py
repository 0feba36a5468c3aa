"""`comparisons.csv`: one line per comparison and test."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from ia2_eval.leaderboard.significance.comparison import Comparison
from ia2_eval.leaderboard.significance.evidence import Evidence

NULLS = {
    "crossed": "seeds and examples",
    "t": "seeds",
    "wilcoxon": "seeds",
    "mcnemar": "examples",
    "bootstrap": "examples",
    "clusters": "datasets",
}
"""What each test takes for a sample of more, everything else being as it is."""


def to_csv(comparisons: Sequence[Comparison]) -> str:
    """CSV with a header, numbers in full precision. None is an empty field, infinity is `inf`."""
    text = io.StringIO()
    lines = [
        _line(comparison, found, p_holm)
        for comparison in comparisons
        for found, p_holm in zip(comparison.tests, comparison.p_holm, strict=True)
    ]
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


COLUMNS = (
    *("base", "protocol", "adapter", "scope", "N", "source", "eval", "sets"),
    *("method", "variant", "against", "against_variant", "metric", "recorded_as"),
    *("value", "against_value", "difference", "seeds", "unmatched_seeds", "n", "left_out", "datasets"),
    *("effect_size", "better", "worse", "odds_ratio"),
    *("test", "primary", "over", "p", "p_holm", "ci_low", "ci_high", "unit", "units", "needed", "detectable"),
)


def _line(comparison: Comparison, found: Evidence, p_holm: float | None) -> dict[str, object]:
    c = comparison
    return {
        **c.section._asdict(),
        "scope": c.scope,
        "N": c.n,
        "source": c.source,
        "eval": c.eval,
        "sets": c.sets,
        "method": c.method.method,
        "variant": c.method.variant,
        "against": c.against.method,
        "against_variant": c.against.variant,
        "metric": c.metric,
        "recorded_as": c.recorded_as,
        "value": c.value,
        "against_value": c.against_value,
        "difference": c.difference,
        "seeds": c.seeds,
        "unmatched_seeds": c.unmatched,
        "n": c.examples or None,
        "left_out": c.left_out if c.metric == "ECE" and c.examples else None,
        "datasets": c.clusters,
        "effect_size": c.effect_size,
        "better": c.better,
        "worse": c.worse,
        "odds_ratio": c.odds_ratio,
        "test": found.test,
        "primary": found.test == c.primary_test,
        "over": NULLS[found.test],
        "p": found.p,
        "p_holm": p_holm,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
        "unit": found.unit,
        "units": found.units,
        "needed": found.needed,
        "detectable": found.detectable,
    }
