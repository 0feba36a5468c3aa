"""Stored LoRA adapters on one vLLM engine, one after the other, through lm-eval's `vllm` model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ia2_eval.errors import UserError

if TYPE_CHECKING:
    from lm_eval.api.model import CacheHook
    from lm_eval.models.vllm_causallms import VLLM

    from ia2_eval.adapters.stored import StoredAdapter
    from ia2_eval.lm.base_model import BaseFiles

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM can be started with as `max_lora_rank`."""


class VLLMAdapters:
    """An engine with room for the largest of the adapters that are to come."""

    def __init__(
        self,
        files: BaseFiles,
        adapters: Sequence[StoredAdapter],
        batch_size: int | None,
        tensor_parallel: int = 1,
    ) -> None:
        """
        Args:
            files: of the base.
            adapters: all that will be evaluated.
            batch_size: requests given to vLLM at a time; None for all, which vLLM batches itself.
            tensor_parallel: GPUs that every weight is split over.

        Raises:
            UserError: vLLM cannot run one of the adapters, or is not installed, or there are fewer GPUs; nothing has
            been loaded.
        """
        rank = required_rank(adapters)
        require_gpus(tensor_parallel)
        if find_spec("vllm") is None:
            raise UserError("vLLM is not installed: pip install 'ia2-eval[vllm]'")
        from lm_eval.models.vllm_causallms import VLLM

        self._base = files.base
        self._lm: VLLM = VLLM(
            pretrained=str(files.directory),
            dtype=files.base.dtype,
            batch_size=batch_size or "auto",
            enable_lora=bool(adapters),
            max_lora_rank=rank,
            tensor_parallel_size=tensor_parallel,
        )
        self._lm.set_cache_hook = self._set_cache_hook
        self._numbers = {adapter.name: number for number, adapter in enumerate(adapters, start=1)}
        self._now: StoredAdapter | None = None
        self._plain: list[tuple[float, bool]] | None = None

    @contextmanager
    def adapted(self, adapter: StoredAdapter | None) -> Iterator[VLLM]:
        """lm-eval's model with an adapter, or of the base alone.

        Raises:
            UserError: the adapter does nothing; see `require_effect`.
        """
        from vllm.lora.request import LoRARequest  # type: ignore[import-not-found]

        try:
            if adapter:
                if self._plain is None:
                    self._plain = self._probe()
                request = LoRARequest(adapter.name, self._numbers[adapter.name], str(adapter.directory.resolve()))
                self._lm.lora_request, self._now = request, adapter
                self._require_effect(adapter)
            yield self._lm
        finally:
            self._lm.lora_request = self._now = None

    def _require_effect(self, adapter: StoredAdapter) -> None:
        from peft import load_peft_weights

        from ia2_eval.lm.adapter_effect import refuse_no_effect

        if self._probe() == self._plain:
            weights = load_peft_weights(str(adapter.directory), device="cpu")
            refuse_no_effect(adapter.name, weights, full_precision=self._base.dtype == "float32")

    def _probe(self) -> list[tuple[float, bool]]:
        """The log-likelihood of fixed tokens; a request without a text is kept in no cache."""
        from ia2_eval.lm.adapter_effect import probe

        first, *others = probe(self._lm.tokenizer.vocab_size)
        answers: list[tuple[float, bool]] = self._lm._loglikelihood_tokens([(None, [first], others)], disable_tqdm=True)
        return answers

    def _set_cache_hook(self, hook: CacheHook) -> None:
        from ia2_eval.lm.request_cache import OwnAnswers

        self._lm.cache_hook = OwnAnswers(hook, self._fingerprint)

    def _fingerprint(self) -> str:
        """Everything that decides an answer beside the request."""
        content = {
            "base": [self._base.fingerprint, self._base.dtype],
            "adapter": self._now.sha256 if self._now else None,
            "max_length": self._lm.max_length,
            "versions": [version(package) for package in ("vllm", "lm_eval")],
        }
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def require_gpus(tensor_parallel: int) -> None:
    """
    Raises:
        UserError: a model is to be split over more GPUs than there are.
    """
    import torch

    present = torch.cuda.device_count()
    if tensor_parallel > max(1, present):  # one: vLLM runs on other devices too
        raise UserError(
            f"--tensor-parallel {tensor_parallel}: {present} GPUs are present. Give {max(1, present)} at most, or make "
            "more visible with CUDA_VISIBLE_DEVICES"
        )


def required_rank(adapters: Sequence[StoredAdapter]) -> int:
    """The smallest `max_lora_rank` of vLLM that all adapters fit in.

    Raises:
        UserError: one of them is none that vLLM runs; all such are listed.
    """
    faults = [f"{str(adapter.directory)!r} {fault}" for adapter in adapters for fault in _faults(adapter.configuration)]
    if faults:
        raise UserError("\n  ".join(["vLLM cannot run these adapters; use --model ia2-hf:", *faults]))
    largest = max((_rank(adapter.configuration) for adapter in adapters), default=0)
    return next(rank for rank in RANKS if rank >= largest)


def _faults(configuration: dict[str, Any]) -> Iterator[str]:
    if configuration["peft_type"] != "LORA":
        yield f"is of kind {configuration['peft_type']}, and vLLM runs LoRA only"
        return
    if configuration.get("use_dora"):
        yield "uses DoRA"
    if configuration.get("modules_to_save"):
        yield f"has modules trained whole: {', '.join(configuration['modules_to_save'])}"
    if configuration.get("bias", "none") != "none":
        yield f"trains biases ({configuration['bias']!r})"
    if _rank(configuration) > RANKS[-1]:
        yield f"has rank {_rank(configuration)}, and vLLM takes {RANKS[-1]} at most"


def _rank(configuration: dict[str, Any]) -> int:
    return max([int(configuration.get("r", 0)), *map(int, (configuration.get("rank_pattern") or {}).values())])
