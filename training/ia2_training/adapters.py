"""Adapters: the kinds of parameters that are trained, and their settings.

A new kind is one class with `peft_config`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from peft import IA3Config, LoraConfig, PeftConfig, PrefixTuningConfig, PromptTuningConfig


class Adapter(Protocol):
    """A kind of adapter and its settings."""

    def peft_config(self) -> PeftConfig | None:
        """The PEFT configuration of a fresh adapter; None: the parameters of the model itself are trained."""


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
        _refuse(self, faults + _module_faults(self.modules))

    def peft_config(self) -> PeftConfig:
        return LoraConfig(
            task_type="CAUSAL_LM",
            r=self.r,
            lora_alpha=self.alpha,
            target_modules=list(self.modules),
            lora_dropout=0.0,
            bias="none",
        )


@dataclass(frozen=True)
class Ia3Adapter:
    """(IA)^3 (arXiv 2205.05638): a learned vector l, all ones at the start, for each module: l * (W x)."""

    modules: tuple[str, ...] = ("q_proj", "k_proj", "o_proj")
    """Names of the linear modules that are adapted, in every layer."""
    scale: Literal["outputs", "inputs"] = "outputs"
    """What is multiplied. `inputs`, W (l * x), is what the public code of arXiv 2509.22621 does: it gives PEFT all
    modules as feed-forward ones. With grouped-query attention the two have vectors of different sizes."""

    def __post_init__(self) -> None:
        faults = _module_faults(self.modules)
        if self.scale not in ("outputs", "inputs"):
            faults.append(f"scale = {self.scale!r}: must be 'outputs' or 'inputs'")
        _refuse(self, faults)

    def peft_config(self) -> PeftConfig:
        return IA3Config(
            task_type="CAUSAL_LM",
            target_modules=list(self.modules),
            feedforward_modules=list(self.modules) if self.scale == "inputs" else [],
        )


@dataclass(frozen=True)
class PromptAdapter:
    """Prompt tuning (arXiv 2104.08691): learned embeddings before the prompt, drawn from N(0, 1) at the start."""

    virtual_tokens: int = 20
    """Their number; 20 in the public code of arXiv 2509.22621."""

    def __post_init__(self) -> None:
        _refuse(self, _virtual_token_faults(self.virtual_tokens))

    def peft_config(self) -> PeftConfig:
        return PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=self.virtual_tokens)


@dataclass(frozen=True)
class PrefixAdapter:
    """Prefix tuning (arXiv 2101.00190): learned keys and values before the prompt in every layer, without its
    reparametrisation, drawn from N(0, 1) at the start."""

    virtual_tokens: int = 20
    """Their number; 20 in the public code of arXiv 2509.22621."""

    def __post_init__(self) -> None:
        _refuse(self, _virtual_token_faults(self.virtual_tokens))

    def peft_config(self) -> PeftConfig:
        return PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=self.virtual_tokens)


@dataclass(frozen=True)
class FullFineTuning:
    """All parameters of the model are trained, in float32 at least (see `full_fine_tuning.train_all_parameters`)."""

    def peft_config(self) -> None:
        return None


def _module_faults(modules: tuple[str, ...]) -> list[str]:
    return [] if modules else ["modules = (): name at least one linear module"]


def _virtual_token_faults(virtual_tokens: int) -> list[str]:
    return [] if virtual_tokens >= 1 else [f"virtual_tokens = {virtual_tokens}: must be at least 1"]


def _refuse(adapter: Adapter, faults: list[str]) -> None:
    if faults:
        raise ValueError(f"{type(adapter).__name__}: " + "; ".join(faults))
