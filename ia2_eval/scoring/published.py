"""The measures of a single-token answer as published with arXiv 2509.22621, from the whole vocabulary's distribution.

The published code looks at the ten most probable tokens and at no label set. Its ECE takes these confidences in 15
equal-mass bins. It computes in the dtype of the logits; what the log-probabilities were computed in is the model's.
"""

from __future__ import annotations

import numpy as np

from ia2_eval.scoring.bootstrap import Floats
from ia2_eval.scoring.model_answers import NextToken


def published_correct(next_token: NextToken, label: str) -> bool:
    """Whether the most probable token, decoded and stripped, is the label; a variant with a leading space counts."""
    return next_token.text.strip() == label


def published_confidence(next_token: NextToken) -> float:
    """Probability of the most probable token divided by the sum over the ten most probable."""
    return float(_renormalised(next_token)[0])


def published_entropy(next_token: NextToken) -> float:
    """Entropy of the renormalised ten most probable tokens, in nats."""
    p = _renormalised(next_token)
    return float(-(p[p > 0] * np.log(p[p > 0])).sum()) + 0.0  # no -0.0


def _renormalised(next_token: NextToken) -> Floats:
    """Probabilities among the most probable tokens, the greatest first.

    Raises:
        ValueError: no log-probability, NaN, the first not finite, or not in descending order.
    """
    log_p = np.array(next_token.top_log_probabilities, dtype=np.float64)
    if not log_p.size or not np.isfinite(log_p[0]) or not (log_p[1:] <= log_p[:-1]).all():
        raise ValueError(
            f"log-probabilities of the most probable tokens must be numbers in descending order, the first finite; "
            f"got {next_token.top_log_probabilities}"
        )
    relative: Floats = np.exp(log_p - log_p[0])
    relative /= relative.sum()
    return relative
