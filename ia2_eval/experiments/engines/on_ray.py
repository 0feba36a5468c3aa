"""The Ray engine: workers as tasks of a Ray cluster, wherever it has room for them."""

from __future__ import annotations

from ia2_eval.experiments.engines.choice import Chosen, EngineChoice
from ia2_eval.experiments.settings import Settings


def choose_on_ray(choice: EngineChoice, settings: Settings) -> Chosen:
    raise NotImplementedError
