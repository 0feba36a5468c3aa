"""What the lm-eval models that can answer here are able to do."""

from __future__ import annotations

from dataclasses import dataclass

from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.mtbench.generation.decoding_settings import DecodingSettings


@dataclass(frozen=True)
class Backend:
    """A kind of lm-eval model."""

    name: str
    chat: bool
    """Whether it is asked through a chat template only (True), or takes prompts."""
    decoding: frozenset[str]
    """Decoding settings that it heeds, beside temperature and greatest length."""
    seeds: str
    """Of sampled texts. `text`: each has its own; `batch`: one for texts that are requested together; `global`: the
    global random state is seeded for each text, which is requested alone."""
    local: bool
    """Whether the model is loaded here, from files."""


_SAMPLING = frozenset({"top_p", "top_k", "min_p", "repetition_penalty"})
_OPENAI = frozenset({"top_p", "frequency_penalty", "presence_penalty"})

BACKENDS: dict[str, Backend] = {
    backend.name: backend
    for backend in (
        Backend("ia2-hf", False, _SAMPLING | {"penalty_scope"}, "text", True),
        Backend("hf", False, _SAMPLING, "global", True),
        Backend("vllm", False, _SAMPLING | _OPENAI, "text", True),
        # Servers of open models (vLLM, SGLang, llama.cpp) take more than OpenAI does.
        Backend("local-completions", False, _SAMPLING | _OPENAI, "batch", False),
        Backend("local-chat-completions", True, _SAMPLING | _OPENAI, "batch", False),
        Backend("openai-completions", False, _OPENAI, "batch", False),
        Backend("openai-chat-completions", True, _OPENAI, "batch", False),
    )
}


def get_backend(name: str) -> Backend:
    """
    Raises:
        UserError: there is none of that name.
    """
    if name not in BACKENDS:
        raise UserError(f"there is no backend {name!r}.{did_you_mean(name, BACKENDS)}")
    return BACKENDS[name]


def require_supported(backend: Backend, decoding: DecodingSettings) -> None:
    """
    Raises:
        UserError: the backend cannot decode so, and would ignore it or fail in the middle of a run.
    """
    fields = DecodingSettings.model_fields
    optional = ("top_p", "top_k", "min_p", "repetition_penalty", "penalty_scope", "frequency_penalty")
    asked = [name for name in (*optional, "presence_penalty") if getattr(decoding, name) != fields[name].default]
    if lacking := [name for name in asked if name not in backend.decoding]:
        able = [other.name for other in BACKENDS.values() if set(asked) <= other.decoding]
        raise UserError(
            f"{backend.name} knows no {' and no '.join(lacking)} (setting {decoding.name}): "
            + (f"use {' or '.join(able)}" if able else "no backend knows them together")
        )
