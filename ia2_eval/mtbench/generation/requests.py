"""What a model is asked for each text, as lm-eval's generation arguments."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from ia2_eval.mtbench.generation.backends import Backend
from ia2_eval.mtbench.generation.decoding_settings import DecodingSettings
from ia2_eval.mtbench.generation.texts import Place

NO_STOP = "<|endoftext|>"
"""What lm-eval sends to OpenAI's chat models as a stop string where there is none; an empty list is refused there."""
_OPTIONAL = ("top_p", "top_k", "min_p", "repetition_penalty", "penalty_scope", "frequency_penalty", "presence_penalty")


def generation_arguments(
    backend: Backend, decoding: DecodingSettings, category: str, until: Sequence[str], most: int, place: Place
) -> dict[str, Any]:
    """lm-eval's arguments for a text.

    Args:
        backend: who is asked.
        decoding: how.
        category: of the question.
        until: stop strings.
        most: tokens.
        place: of the text, for its seed.
    """
    temperature = decoding.temperature_of(category)
    stops = list(until) or ([NO_STOP] if backend.chat else [])
    arguments: dict[str, Any] = {"until": stops, "max_gen_toks": most, "do_sample": temperature > 0}
    settings = {name: getattr(decoding, name) for name in _OPTIONAL}
    defaults = {name: DecodingSettings.model_fields[name].default for name in _OPTIONAL}
    arguments |= {name: value for name, value in settings.items() if value != defaults[name]}
    if temperature > 0:
        arguments["temperature"] = temperature
        together = backend.seeds == "batch"  # requests with other arguments are not asked together there
        arguments["seed"] = text_seed(decoding.seed, place._replace(question_id=0) if together else place)
        if backend.name == "hf":  # which samples from the 50 most probable tokens unless it is told otherwise
            arguments |= {name: settings[name] for name in ("top_k", "top_p")}
    else:  # of a category that is not sampled
        arguments = {name: value for name, value in arguments.items() if name not in ("top_p", "top_k", "min_p")}
    return arguments


def text_seed(seed: int, place: Place) -> int:
    """The seed of a text, from that of the run: whatever else is generated, and in which order, it stays the same."""
    digest = hashlib.sha256(f"{seed} {place.question_id} {place.sample} {place.turn}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1  # of 31 bits, which every backend takes
