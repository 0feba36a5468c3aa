"""What the commands that run a model have in common."""

from __future__ import annotations

import logging
import warnings

BATCH_SIZE = 32
"""Requests per forward pass in evaluations, unless another number is asked for."""
INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells give it."""


def quieten() -> None:
    """Leave the console to the command: libraries speak up only when something is wrong."""
    for chatty in ("lm_eval", "httpx", "datasets", "transformers"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
