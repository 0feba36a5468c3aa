"""What the log-likelihoods of a label set say about one example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Prediction(NamedTuple):
    """A choice among the labels and how it compares with the gold label."""

    label: int
    """Index of the most likely label; the first of them on a tie."""
    correct: bool
    """Whether it is the gold label; a tie for the top is wrong."""
    probabilities: tuple[float, ...]
    """Of the labels, normalised over the label set."""
    brier: float
    """Multi-class Brier score, 0 to 2: sum over the labels of (probability - [label is gold]) squared."""
    nll: float
    """Negative log-likelihood of the gold label under the label-normalised distribution, in nats."""

    @property
    def confidence(self) -> float:
        """Probability of the chosen label."""
        return self.probabilities[self.label]


def predict(log_likelihoods: Sequence[float], gold: int, temperature: float = 1.0) -> Prediction:
    """The prediction from one log-likelihood per label (in nats, any common offset) and the index of the gold label.

    `temperature` divides the log-likelihoods.

    Raises:
        ValueError: a log-likelihood is NaN or +inf, none is finite, or `gold` is no index of them.
    """
    scores = np.asarray(log_likelihoods, dtype=np.float64)
    if scores.ndim != 1 or not scores.size or np.isnan(scores).any() or not np.isfinite(scores.max()):
        raise ValueError(
            f"label log-likelihoods must be numbers below +inf, at least one finite; got {log_likelihoods}"
        )
    if not 0 <= gold < scores.size:
        raise ValueError(f"gold label index {gold} is not among the {scores.size} labels")
    shifted = scores - scores.max()
    log_probabilities = shifted / temperature - np.log(np.exp(shifted / temperature).sum())
    probabilities = np.exp(log_probabilities)
    label = int(scores.argmax())
    tied = np.count_nonzero(shifted == 0.0) > 1
    return Prediction(
        label=label,
        correct=label == gold and not tied,
        probabilities=tuple(probabilities.tolist()),
        brier=float(np.square(probabilities - np.eye(scores.size)[gold]).sum()),
        nll=-float(log_probabilities[gold]),
    )
