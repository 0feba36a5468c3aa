"""The model that answers: any of several lm-eval models, loaded once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ia2_eval.commands import BATCH_SIZE
from ia2_eval.errors import UserError
from ia2_eval.lm.base_model import Base, BaseFiles, locate
from ia2_eval.mtbench.generation.answer_settings import ModelSettings
from ia2_eval.mtbench.generation.backends import Backend, require_usable
from ia2_eval.scoring.model_answers import GeneratedText

if TYPE_CHECKING:
    from lm_eval.api.model import LM
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["ModelSettings", "OpenModel", "open_model"]


@dataclass(frozen=True)
class OpenModel:
    """A model that is ready to answer."""

    lm: LM
    """lm-eval's model."""
    settings: ModelSettings
    backend: Backend
    fingerprint: str
    """What it is: hub commit, sha256 of local files, or the name that an endpoint goes by."""
    adapter: str | None = None
    """sha256 of the adapter on it."""
    _counted: dict[bytes, int] = field(default_factory=dict, repr=False, compare=False)
    """Tokens of texts by their sha256: a sweep asks of the same long prompts for every setting."""

    @property
    def max_length(self) -> int | None:
        """Tokens of prompt and answer that its context has room for; None where only the endpoint knows."""
        if not self.backend.local:
            return None
        from ia2_training.virtual_tokens import virtual_token_count

        virtual = virtual_token_count(self.lm.model) if self.backend.name == "ia2-hf" else 0
        return int(self.lm.max_length) - virtual

    def count_tokens(self, text: str) -> int | None:
        """Tokens of a text as a prompt; None where only the endpoint knows."""
        if not self.backend.local:
            return None
        key = hashlib.sha256(text.encode()).digest()
        if key not in self._counted:
            self._counted[key] = len(self.lm.tok_encode(text))
        return self._counted[key]

    def length_of(self, generated: str, most: int) -> tuple[int | None, bool | None]:
        """Tokens of a generated text, and whether it was cut off; None for what cannot be known.

        Args:
            generated: as the model gave it.
            most: tokens that it was allowed.
        """
        if isinstance(generated, GeneratedText) and generated.complete is not None:
            return len(generated.token_log_likelihoods), not generated.complete
        if not self.backend.local:
            return None, None
        # Encoded anew, a text may have a token more or less; a stop string is gone, which no other token is.
        tokens = len(self.lm.tok_encode(generated, add_special_tokens=False))
        return tokens, tokens >= most

    @property
    def transformer(self) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """The model itself and its tokenizer, to train adapters with; what was kept of prompts is let go.

        Raises:
            UserError: it is not in this process.
        """
        if self.backend.name != "ia2-hf":
            raise UserError(f"adapters are trained and put on models of ia2-hf only, and this is {self.backend.name}")
        self.lm.forget_prefix()
        return self.lm.model, self.lm.tokenizer

    @contextmanager
    def adapted(self, directory: Path | None) -> Iterator[OpenModel]:
        """The model with a stored adapter; None for the model as it is.

        Raises:
            UserError: the adapter does not fit the model or does nothing to it, or the backend is not ia2-hf.
        """
        if directory is None:
            yield self
            return
        from ia2_eval.adapters.stored import StoredAdapter
        from ia2_eval.lm.adapter_effect import require_effect
        from ia2_eval.lm.peft_adapters import NAME, attached

        base, tokenizer = self.transformer
        with attached(base, directory) as model:
            require_effect(model, NAME)
            lm = _ia2_hf(model, tokenizer, int(self.lm.batch_size), self.settings, self.lm.shares_prefix or None)
            sha256 = StoredAdapter(directory.name, directory).sha256
            yield OpenModel(lm, self.settings, self.backend, self.fingerprint, sha256)


def open_model(settings: ModelSettings, device: str | None = None, batch_size: int | None = None) -> OpenModel:
    """Load a model, or reach for its endpoint.

    Args:
        settings: which one.
        device: see `base_model.load`; of ia2-hf and hf.
        batch_size: requests at a time; None: `BATCH_SIZE`, vLLM: all.

    Raises:
        UserError: there is no such backend or model, it takes no such arguments, or a package is missing.
    """
    backend = require_usable(settings, device)
    if not backend.local:
        with _taking_arguments(settings):
            return OpenModel(_endpoint(settings, batch_size), settings, backend, _endpoint_name(settings))
    files = locate(
        Base.model_validate({"model": settings.base, "revision": settings.revision, "dtype": settings.dtype})
    )
    if backend.name == "vllm":
        arguments = {"pretrained": str(files.directory), "dtype": settings.dtype, **settings.model_args}
        with _taking_arguments(settings):
            lm = _lm_eval_model("vllm", arguments | {"batch_size": batch_size or "auto"})
    else:
        lm = _transformers(settings, files, device, batch_size or BATCH_SIZE)
    if settings.chat and getattr(lm.tokenizer, "chat_template", None) is None:
        raise UserError(f"the tokenizer of {settings.base!r} has no chat template: leave --chat out for a base model")
    return OpenModel(lm, settings, backend, files.base.fingerprint)


def _transformers(settings: ModelSettings, files: BaseFiles, device: str | None, batch_size: int) -> LM:
    from ia2_eval.lm.base_model import load, use_threads_for

    base = load(files, device)
    use_threads_for(base.model)
    from lm_eval.models.huggingface import HFLM

    with _taking_arguments(settings):
        if settings.backend == "ia2-hf":
            lm = _ia2_hf(base.model, base.tokenizer, batch_size, settings)
        else:
            arguments = {"pretrained": base.model, "tokenizer": base.tokenizer, "batch_size": batch_size}
            lm = HFLM(**arguments, **settings.model_args)
        int(lm.max_length)
    return lm


def _ia2_hf(
    model: Any, tokenizer: Any, batch_size: int, settings: ModelSettings, shares_prefix: bool | None = None
) -> LM:
    from ia2_eval.lm.ia2_hf import IA2HF

    arguments: dict[str, Any] = settings.model_args
    return IA2HF(
        pretrained=model,
        tokenizer=tokenizer,
        batch_size=batch_size,
        shares_prefix=shares_prefix,
        keep_prefix=True,
        **arguments,
    )


def _endpoint(settings: ModelSettings, batch_size: int | None) -> LM:
    local = settings.backend.startswith("local")
    if local and "base_url" not in settings.model_args:
        path = "chat/completions" if "chat" in settings.backend else "completions"
        raise UserError(
            f"{settings.backend} needs the address of its endpoint: --model-args base_url=http://HOST:PORT/v1/{path}"
        )
    if not local and not os.environ.get("OPENAI_API_KEY"):
        raise UserError(f"{settings.backend} needs a key: put it into the environment variable OPENAI_API_KEY")
    # Texts go as texts: where lm-eval tokenises them, it cuts their beginning off without a word at 2048 tokens.
    plain = {"tokenizer_backend": None, "tokenized_requests": False}
    arguments = {"model": settings.base, "batch_size": batch_size or 1, **plain, **settings.model_args}
    return _lm_eval_model(settings.backend, arguments)


def _endpoint_name(settings: ModelSettings) -> str:
    return f"{settings.model_args.get('base_url', settings.backend)} {settings.base}"


def _lm_eval_model(name: str, arguments: dict[str, Any]) -> LM:
    import lm_eval.models  # noqa: F401 - lm-eval knows its own models only then
    from lm_eval.api.registry import get_model

    try:
        return get_model(name)(**arguments)
    except ImportError as error:
        extra = {"vllm": "vllm"}.get(name, "api")
        raise UserError(f"{name} needs more packages ({error}): pip install 'ia2-eval[{extra}]'") from error


@contextmanager
def _taking_arguments(settings: ModelSettings) -> Iterator[None]:
    """
    Raises:
        UserError: an argument of the lm-eval model has a value that it cannot do with.
    """
    try:
        yield
    except (AttributeError, TypeError, ValueError) as error:
        if not settings.model_args:
            raise
        raise UserError(f"{settings.backend} cannot do with model_args {settings.model_args}: {error}") from error
