"""lm-eval's request cache (`--use_cache`), made safe for many models and adapters in one file.

lm-eval files an answer under the hash of its request, with no model in the key: the second adapter is served the
answers of the first. Here the key begins with the fingerprint of whoever answers.
"""

from __future__ import annotations

import hashlib
import json
import weakref
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
from ia2_training.attach import PROVENANCE
from lm_eval.api.model import CacheHook
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor

from ia2_eval import __version__
from ia2_eval.scoring.answers import scored_end
from ia2_eval.scoring.version import SCORING_VERSION

if TYPE_CHECKING:
    from lm_eval.models.huggingface import HFLM
    from sqlitedict import SqliteDict  # type: ignore[import-untyped]
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SETTINGS = (
    "max_length",
    "softmax_dtype",
    "mixed_precision_dtype",
    "add_bos_token",
    "prefix_token_id",
    "think_end_token",
)
"""Settings of an `HFLM` that change its answers beyond rounding, which the batch size does not."""


class OwnAnswers(CacheHook):  # type: ignore[misc]
    """A hook to a cache in which only the answers of one and the same model are found.

    Hook and cache file are lm-eval's; what is changed is how the file names its keys. The hook lets go of the file when
    lm-eval does: what the model answers after that evaluation, perhaps with other weights, is not written to it.
    """

    def __init__(self, hook: CacheHook, fingerprint: Callable[[], str]) -> None:
        """
        Args:
            hook: what lm-eval gives to `LM.set_cache_hook`.
            fingerprint: who answers now; asked at every access to the file, so that it should be quick.
        """
        answers: SqliteDict = hook.dbdict
        self._cache = weakref.ref(answers)
        plain = answers.encode_key
        answers.encode_key = lambda key: plain(f"{fingerprint()}:{key}")

    @property
    def dbdict(self) -> SqliteDict | None:
        return self._cache()


def own_answers(lm: HFLM, hook: CacheHook) -> CacheHook:
    """For `set_cache_hook`: the answers of the model and the adapter that are active in `lm` now, and of the one that
    is switched to while the cache is open."""
    if hook.dbdict is None:
        return hook
    known: dict[tuple[object, ...], str] = {}

    def who() -> str:
        switches = id(lm.model), *_switches(lm.model)
        if switches not in known:
            known[switches] = fingerprint(lm)
        return known[switches]

    return OwnAnswers(hook, who)


def fingerprint(lm: HFLM) -> str:
    """Everything that decides an answer beside the request: weights and configurations of base and adapters as they are
    in memory, which adapter is active, the tokenizer, the settings, and the versions of the software.

    A commit hash or a file says what a model was when it was loaded; it may have been trained or merged since.
    """
    model = lm.model
    layers = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
    adapters = model.peft_config if isinstance(model, PeftModel) else {}
    content = {
        "lm": type(lm).__qualname__,
        "versions": [__version__, SCORING_VERSION, *map(version, ("lm_eval", "transformers", "peft"))],
        "settings": {name: str(getattr(lm, name, None)) for name in SETTINGS},
        "tokenizer": _tokenizer(lm.tokenizer),
        "model": _without(model.config.to_dict(), {"_name_or_path", "transformers_version"}),
        "generation": _without(model.generation_config.to_dict(), {"transformers_version", "_from_model_config"}),
        "adapters": {name: _without(config.to_dict(), PROVENANCE) for name, config in adapters.items()},
        "switches": _switches(model),
        "layers": [[layer.disable_adapters, layer.merged_adapters] for layer in layers],
        "weights": weights_digest([*model.named_parameters(), *model.named_buffers()]),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=_plain).encode()).hexdigest()


def _switches(model: PreTrainedModel | PeftModel) -> list[object]:
    """Which adapters are active, and whether they are enabled."""
    return [*model.active_adapters, model._adapters_disabled] if isinstance(model, PeftModel) else []


@cache
def everyones_end(answer_format: str) -> Callable[[str], int | None]:
    """Where a generation may stop whichever protocol reads it from the cache, whose key does not hold the protocol."""
    ends = [scored_end(answer_format, protocol) for protocol in ("strict", "paper")]

    def end(text: str) -> int | None:
        found = [index for index in (find(text) for find in ends) if index is not None]
        return max(found) if len(found) == len(ends) else None

    return end


CHUNK = 1 << 20
"""Words of 4 bytes that are summed at a time."""


@torch.no_grad()
def weights_digest(tensors: list[tuple[str, Tensor]]) -> str:
    """sha256 over names, shapes, dtypes and checksums of tensors, computed where they are: 8 GB are read in a fraction
    of a second on a GPU, while hashing them takes seconds and a copy to the CPU.

    Raises:
        ValueError: a tensor has no data in memory.
    """
    digest = hashlib.sha256()
    factors: dict[torch.device, Tensor] = {}
    for name, tensor in tensors:
        if tensor.is_meta:
            raise ValueError(f"the weights {name!r} are not in memory: a request cache needs a model that is")
        if tensor.device not in factors:
            factors[tensor.device] = _factors().to(tensor.device)
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(checksums(tensor, factors[tensor.device]).numpy().tobytes())
    return digest.hexdigest()


def checksums(tensor: Tensor, factors: Tensor) -> Tensor:
    """sum_i factor_i word_i modulo 2^64 over each chunk of 32-bit words of a tensor, int64 on the CPU.

    The factors are odd, so that no single word can change unnoticed; for any other change the odds are 2^-32 or less.
    """
    data = tensor.detach().contiguous().view(-1).view(torch.uint8)
    words = torch.nn.functional.pad(data, (0, -len(data) % 4)).view(torch.int32)
    sums = [(chunk * factors[: len(chunk)]).sum() for chunk in torch.split(words, CHUNK)]  # int32 x int64 is int64
    return torch.stack(sums).cpu()


def _factors() -> Tensor:
    draws = torch.Generator().manual_seed(0)
    return torch.randint(-(2**62), 2**62, (CHUNK,), generator=draws) * 2 + 1


def _tokenizer(tokenizer: PreTrainedTokenizerBase) -> str:
    """sha256 of what a tokenizer does, whatever padding and truncation it was last asked for."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    content = json.loads(backend.to_str()) if backend is not None else tokenizer.get_vocab()
    text = json.dumps([type(tokenizer).__name__, _without(content, {"padding", "truncation"})], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _without(settings: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in names}


def _plain(value: object) -> object:
    """For JSON: sets in order, anything else by its name."""
    return sorted(map(str, value)) if isinstance(value, (set, frozenset)) else str(value)
