"""Whether training went as it did: the losses that it ended with.

Adam divides by the size of the gradient, so a loss with a wrong factor may train almost as well; its value tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, fsum, isfinite, log

from ia2_eval.experiments.record import Training
from ia2_eval.regression.check import Verdict

FACTOR = 1.25
"""By which the geometric mean over seeds of a final loss may change from one machine to another."""
FLOOR = 1e-3
"""Added to a loss: below it, a ratio is one of rounding errors."""


def training_changes(before: Sequence[Training], after: Sequence[Training]) -> tuple[Verdict, str]:
    """
    Args:
        before: of the reference, one for each seed.
        after: of the rerun, likewise.
    """
    phases = [tuple(phase.loss for phase in training.phases) for training in (*before, *after)]
    if len(set(phases)) > 1:
        return "regression", f"phases {' and '.join(sorted({' then '.join(names) for names in phases}))}"
    said, verdict = [], "pass"
    for i, loss in enumerate(phases[0]):
        ratios = []
        for name in ("train_loss", "dev_loss"):
            values = [
                (getattr(a.phases[i], name), getattr(b.phases[i], name)) for a, b in zip(before, after, strict=True)
            ]
            known = [(a, b) for a, b in values if a is not None and b is not None]
            if len(known) < len(values):
                if known or any(a is not None or b is not None for a, b in values):
                    return "regression", f"{loss}: a dev loss is missing"
                continue
            if not all(isfinite(a) and isfinite(b) for a, b in known):
                return "regression", f"{loss}: {name} is not finite"
            ratio = exp(fsum(log((b + FLOOR) / (a + FLOOR)) for a, b in known) / len(known))
            ratios.append(f"{name.removesuffix('_loss')} x {ratio:.3g}")
            if not 1 / FACTOR <= ratio <= FACTOR:
                verdict = "regression"
        said.append(f"{loss} {', '.join(ratios)}")
    return ("regression" if verdict == "regression" else "pass"), "; ".join(said)
