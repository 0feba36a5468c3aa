"""A stand-in for vLLM as lm-eval uses it: the same calls, answered by transformers and PEFT, one request at a time.

`BROKEN` makes it take adapters and not apply them, as vLLM has done.
"""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import torch

from ia2_eval.lm.base_model import Base, load, locate
from ia2_eval.lm.peft_adapters import attached
from vllm.lora.request import LoRARequest

BROKEN = False
ENGINES: list[LLM] = []


class SamplingParams(SimpleNamespace):
    """What is asked for, by name."""


def TokensPrompt(prompt_token_ids: list[int]) -> list[int]:  # noqa: N802 - vLLM's name
    return prompt_token_ids


class LLM:
    def __init__(self, **arguments: Any) -> None:
        self.arguments = arguments
        self.calls: list[LoRARequest | None] = []
        base = load(locate(Base(model=arguments["model"], dtype=arguments["dtype"])), "cpu")
        self._model, self._tokenizer = base.model, base.tokenizer
        config = SimpleNamespace(max_model_len=self._model.config.max_position_embeddings)
        self.llm_engine = SimpleNamespace(model_config=config)
        ENGINES.append(self)

    def generate(
        self,
        prompts: list[list[int]],
        sampling_params: list[SamplingParams],
        use_tqdm: bool,
        lora_request: LoRARequest | None,
    ) -> list[SimpleNamespace]:
        assert not lora_request or self.arguments["enable_lora"]
        self.calls.append(lora_request)
        applied = lora_request is not None and not BROKEN
        with attached(self._model, lora_request.path) if applied else nullcontext(self._model) as model:
            return [self._answer(model, *pair) for pair in zip(prompts, sampling_params, strict=True)]

    @torch.no_grad()
    def _answer(self, model: Any, ids: list[int], asked: SamplingParams) -> SimpleNamespace:
        if getattr(asked, "prompt_logprobs", None):
            rows = model(input_ids=torch.tensor([ids])).logits[0].float().log_softmax(-1)
            told: list[dict[int, float] | None] = [None]
            for token, row in zip(ids[1:], rows, strict=False):
                best = int(row.argmax())
                told.append({best: float(row[best]), token: float(row[token])})
            return SimpleNamespace(prompt_logprobs=told)
        made: list[int] = []
        while len(made) < asked.max_tokens:
            made.append(int(model(input_ids=torch.tensor([ids + made])).logits[0, -1].argmax()))
            if any(stop in self._tokenizer.decode(made) for stop in asked.stop):
                break
        text = self._tokenizer.decode(made)
        for stop in asked.stop:
            text = text.split(stop)[0]
        return SimpleNamespace(outputs=[SimpleNamespace(text=text)])
