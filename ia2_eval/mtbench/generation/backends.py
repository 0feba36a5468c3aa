"""What the lm-eval models that can answer here are able to do."""

from __future__ import annotations

from dataclasses import dataclass

from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.mtbench.generation.answer_settings import ModelSettings
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
    arguments: frozenset[str] | None
    """That may be given to the lm-eval model, which ignores others; None: any but what has an option of its own."""


_SAMPLING = frozenset({"top_p", "top_k", "min_p", "repetition_penalty"})
_OPENAI = frozenset({"top_p", "frequency_penalty", "presence_penalty"})
_IN_MEMORY = frozenset(
    {"add_bos_token", "enable_thinking", "max_length", "mixed_precision_dtype", "prefix_token_id", "softmax_dtype"}
    | {"think_end_token"}
)
# No tokenizer: with one, lm-eval cuts the beginning of prompts off. No key either, for arguments are written down.
_ENDPOINT = frozenset({"base_url", "ca_cert_path", "max_retries", "num_concurrent", "timeout", "verify_certificate"})
_CHAT_ENDPOINT = _ENDPOINT | {"think_end_token"}

BACKENDS: dict[str, Backend] = {
    backend.name: backend
    for backend in (
        Backend("ia2-hf", False, _SAMPLING | {"penalty_scope"}, "text", True, _IN_MEMORY),
        Backend("hf", False, _SAMPLING, "global", True, _IN_MEMORY),
        Backend("vllm", False, _SAMPLING | _OPENAI, "text", True, None),
        # Servers of open models take more than OpenAI does: vLLM and SGLang all of these by these names.
        Backend("local-completions", False, _SAMPLING | _OPENAI, "batch", False, _ENDPOINT),
        Backend("local-chat-completions", True, _SAMPLING | _OPENAI, "batch", False, _CHAT_ENDPOINT),
        Backend("openai-completions", False, _OPENAI, "batch", False, _ENDPOINT),
        Backend("openai-chat-completions", True, _OPENAI, "batch", False, _CHAT_ENDPOINT),
    )
}

OWN_OPTIONS = frozenset({"pretrained", "model", "revision", "dtype", "device", "batch_size"})
"""Arguments of lm-eval's models that have an option here."""
ALWAYS_SAMPLED = ("o1", "o3", "o4", "5")
"""lm-eval's `openai-chat-completions` asks models with one of these in the name at temperature 1, whatever is set."""


def get_backend(name: str) -> Backend:
    """
    Raises:
        UserError: there is none of that name.
    """
    if name not in BACKENDS:
        raise UserError(f"there is no backend {name!r}.{did_you_mean(name, BACKENDS)}")
    return BACKENDS[name]


def require_usable(settings: ModelSettings, device: str | None = None) -> Backend:
    """The backend of a model, if all that is asked of it is heeded.

    Raises:
        UserError: there is no such backend, or it would ignore something.
    """
    backend = get_backend(settings.backend)
    if backend.chat and not settings.chat:
        raise UserError(f"{backend.name} is asked through a chat template only: add --chat, which takes no prompt set")
    if settings.chat and not backend.chat and not backend.local:
        chat = backend.name.replace("completions", "chat-completions")
        raise UserError(f"{backend.name} takes prompts and knows no chat template: for --chat use {chat}")
    if not backend.local:
        given = {"revision": settings.revision, "device": device}
        if idle := [name for name, value in given.items() if value is not None]:
            raise UserError(f"{' and '.join(idle)} without effect: {backend.name} is served elsewhere")
    if backend.name == "vllm" and device is not None:
        raise UserError("vLLM takes no --device: choose GPUs with CUDA_VISIBLE_DEVICES")
    for name in settings.model_args:
        if name in OWN_OPTIONS:
            raise UserError(f"model_args {name}: say it by --base, --revision, --dtype, --device or --batch-size")
        if (known := backend.arguments) is not None and name not in known:
            raise UserError(f"model_args {name}: {backend.name} has no use for it.{did_you_mean(name, sorted(known))}")
    return backend


def require_supported(backend: Backend, decoding: DecodingSettings, base: str = "") -> None:
    """
    Args:
        backend: who is to answer.
        decoding: how.
        base: name of the model.

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
    sampled = backend.name == "openai-chat-completions" and any(part in base for part in ALWAYS_SAMPLED)
    if sampled and decoding.temperature != 1:
        raise UserError(
            f"lm-eval asks {base!r} of OpenAI at temperature 1, whatever is set: take --temperature 1, or --backend "
            "local-chat-completions --model-args base_url=https://api.openai.com/v1/chat/completions"
        )
