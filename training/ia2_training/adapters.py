"""Adapters: the few parameters that are trained, attached to a frozen base through PEFT.

A new adapter type is one class with `peft_config`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from peft import (
    LoraConfig,
    PeftConfig,
    PeftModel,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from safetensors.torch import load_file
from torch import nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Where an adapter came from and who wrote it, not what it is.
PROVENANCE = {"auto_mapping", "base_model_name_or_path", "inference_mode", "peft_version", "revision"}


class Adapter(Protocol):
    """A kind of adapter and its settings."""

    def peft_config(self) -> PeftConfig:
        """The PEFT configuration of a fresh adapter."""


@dataclass(frozen=True)
class LoraAdapter:
    """LoRA (arXiv 2106.09685): W x + (alpha / r) B A x, with B zero at the start.

    The defaults are the settings of arXiv 2509.22621.
    """

    r: int = 8
    alpha: int = 8
    modules: tuple[str, ...] = ("q_proj", "k_proj", "o_proj")
    """Names of the linear modules that are adapted, in every layer."""

    def __post_init__(self) -> None:
        faults = [
            f"{name} = {value}: must be at least 1"
            for name, value in (("r", self.r), ("alpha", self.alpha))
            if value < 1
        ]
        if not self.modules:
            faults.append("modules = (): name at least one linear module")
        if faults:
            raise ValueError("LoraAdapter: " + "; ".join(faults))

    def peft_config(self) -> PeftConfig:
        return LoraConfig(
            task_type="CAUSAL_LM",
            r=self.r,
            lora_alpha=self.alpha,
            target_modules=list(self.modules),
            lora_dropout=0.0,
            bias="none",
        )


def attach(model: PreTrainedModel, adapter: Adapter, *, seed: int, initial_adapter: Path | None = None) -> PeftModel:
    """Attach a trainable adapter, in place: fresh from the seed, or with the weights of a saved one.

    The base is frozen; the adapter is float32 whatever the dtype of the base. The caller's random numbers are left as
    they were, and the initial values do not depend on the device.

    Args:
        model: the base model; `detach` gives it back.
        adapter: what to attach.
        seed: seed of the initial values.
        initial_adapter: a PEFT directory to take the weights from.

    Raises:
        ValueError: the model already carries an adapter, a module name matches nothing, or `initial_adapter` is no
            PEFT directory or holds another kind of adapter.
    """
    require_no_adapter(model)
    config = adapter.peft_config()
    _require_modules(model, config)
    weights = None if initial_adapter is None else _saved_weights(initial_adapter, config)
    with torch.random.fork_rng(devices=[]):  # PEFT draws on the CPU, wherever the model is
        torch.default_generator.manual_seed(seed)
        adapted = get_peft_model(model, config)
    if weights is not None:
        if {key: value.shape for key, value in get_peft_model_state_dict(adapted).items()} != {
            key: value.shape for key, value in weights.items()
        }:
            detach(adapted)
            raise ValueError(f"{initial_adapter} does not fit this model: its weights have other names or shapes.")
        set_peft_model_state_dict(adapted, weights)
    return adapted


def detach(adapted: PeftModel) -> PreTrainedModel:
    """Remove the adapter; the base model with its weights untouched (and still frozen)."""
    base = adapted.unload()
    if hasattr(base, "peft_config"):  # older PEFT versions leave it behind
        del base.peft_config
    return base


def require_no_adapter(model: PreTrainedModel) -> None:
    """Raises:
    ValueError: the model carries an adapter.
    """
    if hasattr(model, "peft_config"):
        raise ValueError(
            "The model already carries an adapter. Take it off first: Adapted.detach() or PeftModel.unload()."
        )


def _require_modules(model: nn.Module, config: PeftConfig) -> None:
    """Every target module of the configuration must match: PEFT itself is content when one of them does."""
    names = {name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    missing = sorted(set(config.target_modules) - names)
    if missing:
        raise ValueError(
            f"The model has no linear module named {', '.join(map(repr, missing))}. It has: {', '.join(sorted(names))}."
        )


def _saved_weights(directory: Path, config: PeftConfig) -> dict[str, torch.Tensor]:
    """Weights of a saved adapter of the same configuration."""
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if not (directory / name).is_file():
            raise ValueError(f"{directory} is no saved adapter: it has no {name}.")
    wanted, saved = _identity(config), _identity(PeftConfig.from_pretrained(str(directory)))
    different = sorted(key for key in wanted.keys() | saved.keys() if wanted.get(key) != saved.get(key))
    if different:
        differences = "; ".join(f"{key} is {saved.get(key)!r}, not {wanted.get(key)!r}" for key in different)
        raise ValueError(f"{directory} holds another kind of adapter: {differences}.")
    weights: dict[str, torch.Tensor] = load_file(directory / "adapter_model.safetensors")
    return weights


def _identity(config: PeftConfig) -> dict[str, Any]:
    return {key: value for key, value in config.to_dict().items() if key not in PROVENANCE}
