"""lm-eval's Hugging Face model around a model that is already in memory."""

from __future__ import annotations

from typing import Any

import torch
from ia2_training.virtual_tokens import virtual_token_count, with_virtual_tokens
from lm_eval.models.huggingface import HFLM
from torch import Tensor


class IA2HF(HFLM):  # type: ignore[misc]
    """`HFLM` over a loaded base model, with or without an adapter, without a progress bar of its own.

    Where `HFLM` cuts a prompt that is too long for the model, this refuses it: without its first demonstrations it is
    another prompt. Where it decodes a batch behind virtual tokens, a text does not depend on its neighbours' lengths.
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

    def _model_generate(
        self, context: Tensor, max_length: int, stop: list[str], *, attention_mask: Tensor, **settings: Any
    ) -> Tensor:
        """Token ids [B, T and those generated] of left-padded contexts [B, T]."""
        count = virtual_token_count(self.model)
        if not count:
            plain: Tensor = super()._model_generate(
                context, max_length, stop, attention_mask=attention_mask, **settings
            )
            return plain
        inputs = with_virtual_tokens(self.model, context, attention_mask)
        names = ("inputs_embeds", "past_key_values", "attention_mask")  # positions are counted over the mask
        given = {name: inputs[name] for name in names if name in inputs}
        # Where `generate` has embeddings or a cache, token ids only tell it how many there are.
        columns = torch.nn.functional.pad(context, (count, 0))  # [B, v + T]
        with self.model.disable_adapter():
            generated: Tensor = super()._model_generate(columns, max_length + count, stop, **given, **settings)
        return generated[:, count:]

    def _require_room(self, text: str, new_tokens: int) -> None:
        virtual = virtual_token_count(self.model)
        length = len(self.tok_encode(text))
        if virtual + length + new_tokens > self.max_length:
            raise ValueError(
                f"A prompt of {length} tokens and {new_tokens} tokens to generate"
                f"{f', behind {virtual} virtual tokens,' if virtual else ''} do not fit into the model's "
                f"{self.max_length}: choose a smaller N or a model with a longer context. "
                f"It begins with {text[:60]!r}."
            )
