"""lm-eval's Hugging Face model around a model that is already in memory."""

from __future__ import annotations

from typing import Any

from lm_eval.models.huggingface import HFLM


class LoadedLM(HFLM):  # type: ignore[misc]
    """`HFLM` over a loaded base model, with or without an adapter, without a progress bar of its own.

    Where `HFLM` cuts a prompt that is too long for the model, this refuses it: without its first demonstrations it is
    another prompt.
    """

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        for context, label in dict.fromkeys(request.args for request in requests):
            self._require_room(context + label, 0)
        answers: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm=disable_tqdm)
        return answers

    def generate_until(self, requests: list[Any], disable_tqdm: bool = True) -> list[str]:
        for request in requests:
            context, settings = request.args
            self._require_room(context, settings["max_gen_toks"])
        texts: list[str] = super().generate_until(requests, disable_tqdm=disable_tqdm)
        return texts

    def _require_room(self, text: str, new_tokens: int) -> None:
        length = len(self.tok_encode(text))
        if length + new_tokens > self.max_length:
            raise ValueError(
                f"A prompt of {length} tokens and {new_tokens} tokens to generate do not fit into the model's "
                f"{self.max_length}: choose a smaller N or a model with a longer context. "
                f"It begins with {text[:60]!r}."
            )
