"""Kinds of adapters, as recipes and cells say them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from ia2_eval.frozen import Frozen

Q, K, O = "q_proj", "k_proj", "o_proj"  # noqa: E741 - as they are called
Modules = Annotated[tuple[str, ...], Field(min_length=1)]


class Lora(Frozen):
    """LoRA (arXiv 2106.09685), as in section 4 of the IA2 paper by default."""

    type: Literal["lora"] = "lora"
    r: int = Field(default=8, ge=1)
    alpha: int = Field(default=8, ge=1)
    modules: Modules = (Q, K, O)

    @property
    def label(self) -> str:
        return f"lora_r{self.r}_a{self.alpha}_{_short(self.modules)}"


class Ia3(Frozen):
    """(IA)³ (arXiv 2205.05638): the outputs of the modules are scaled; under `paper` their inputs, as published."""

    type: Literal["ia3"] = "ia3"
    modules: Modules = (Q, K, O)

    @property
    def label(self) -> str:
        return f"ia3_{_short(self.modules)}"


class Prompt(Frozen):
    """Prompt tuning (arXiv 2104.08691): trained embeddings before the first token."""

    type: Literal["prompt"] = "prompt"
    virtual_tokens: int = Field(default=20, ge=1)

    @property
    def label(self) -> str:
        return f"prompt_{self.virtual_tokens}"


class Prefix(Frozen):
    """Prefix tuning (arXiv 2101.00190): trained keys and values before the first token, in every layer."""

    type: Literal["prefix"] = "prefix"
    virtual_tokens: int = Field(default=20, ge=1)

    @property
    def label(self) -> str:
        return f"prefix_{self.virtual_tokens}"


class Full(Frozen):
    """Full fine-tuning: every weight of the model."""

    type: Literal["full"] = "full"

    @property
    def label(self) -> str:
        return "full"


ADAPTER_TYPES: dict[str, type[Frozen]] = {"lora": Lora, "ia3": Ia3, "prompt": Prompt, "prefix": Prefix, "full": Full}


def _name_alone(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


def _type(value: Any) -> str | None:
    kind = value.get("type", "lora") if isinstance(value, dict) else getattr(value, "type", None)
    return None if kind is None else str(kind)


AdapterSpec = Annotated[
    Annotated[Lora, Tag("lora")]
    | Annotated[Ia3, Tag("ia3")]
    | Annotated[Prompt, Tag("prompt")]
    | Annotated[Prefix, Tag("prefix")]
    | Annotated[Full, Tag("full")],
    Discriminator(_type),
    BeforeValidator(_name_alone),
]
"""One of the kinds, told apart by `type`; LoRA where it is left out. `ia3` alone is `{type: ia3}`."""


def _short(modules: Sequence[str]) -> str:
    """`qko` for q_proj, k_proj and o_proj."""
    names = [module.removesuffix("_proj") for module in modules]
    return ("" if all(len(name) == 1 for name in names) else "-").join(names)
