"""lm-eval's Hugging Face model around a model that is already in memory."""

from __future__ import annotations

from typing import Any

from lm_eval.models.huggingface import HFLM


class LoadedLM(HFLM):  # type: ignore[misc]
    """`HFLM` over a loaded base model, with or without an adapter, without a progress bar of its own."""

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        answers: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm=disable_tqdm)
        return answers

    def generate_until(self, requests: list[Any], disable_tqdm: bool = True) -> list[str]:
        texts: list[str] = super().generate_until(requests, disable_tqdm=disable_tqdm)
        return texts
