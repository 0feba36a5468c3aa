"""The unit of work: one model, adapted in one way on one training set, evaluated on some benchmarks."""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from pydantic import Field

from ia2_eval.frozen import Frozen
from ia2_eval.lm.base_model import Base
from ia2_eval.protocol import Protocol

Method = str
"""`no_icl`, `icl`, or the name of a method of `ia2_training.METHODS`."""

UNTRAINED: tuple[Method, ...] = ("no_icl", "icl")


class Lora(Frozen):
    """LoRA (arXiv 2106.09685), as in section 4 of the IA2 paper by default."""

    type: Literal["lora"] = "lora"
    r: int = Field(default=8, ge=1)
    alpha: int = Field(default=8, ge=1)
    modules: tuple[str, ...] = Field(default=("q_proj", "k_proj", "o_proj"), min_length=1)

    @property
    def label(self) -> str:
        names = [module.removesuffix("_proj") for module in self.modules]
        return f"lora_r{self.r}_a{self.alpha}_" + ("" if all(len(name) == 1 for name in names) else "-").join(names)


class Cell(Frozen):
    """Frozen specification of one unit of work.

    Everything that can change the result is in it and nothing else is, so that its key names the result.
    A field that does not apply to the method is None: `no_icl` has no training set, `icl` no learning rate.
    """

    version: int = Field(default=1, description="raised when the same cell would give another result")
    base: Base
    source: str = Field(description="benchmark that demonstrations and training examples come from")
    n: int | None = Field(default=None, description="size N of the training set D_T(N, seed)")
    seed: int | None = Field(default=None, description="draw of D_T, adapter initialisation, example order")
    method: Method
    adapter: Lora | None = None
    learning_rate: float | None = None
    epochs: int | None = None
    batch_size: int | None = Field(default=None, description="training examples per optimiser step")
    target_tokens: int | None = Field(default=None, description="T: tokens of the teacher's response at most")
    protocol: Protocol = "strict"
    evals: tuple[str, ...] = Field(description="benchmarks to evaluate on: the source, then its OOD partners")
    limit: int | None = Field(default=None, description="evaluate on the first `limit` examples only")
    data: str = Field(description="sha256 of the examples of the source and the evals")

    @property
    def key(self) -> str:
        """First 16 hexadecimal digits of the sha256 of the canonical JSON form.

        A field that is None is left out, so that a field added later changes no key of old. The base is identified by
        its fingerprint: the same files under another path are the same base.
        """
        form = self.model_dump(mode="json", exclude_none=True)
        if self.base.fingerprint:
            form["base"] = {"dtype": self.base.dtype, "fingerprint": self.base.fingerprint}
        canonical = json.dumps(form, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def trained(self) -> bool:
        return self.method not in UNTRAINED

    @property
    def label(self) -> str:
        """Short name for progress lines, such as `sst2 N=4 seed 0 ia2_sft lr 0.001`."""
        parts = [self.source]
        if self.n is not None:
            parts.append(f"N={self.n} seed {self.seed}")
        parts.append(self.method)
        if self.learning_rate is not None:
            parts.append(f"lr {self.learning_rate:g}")
        return " ".join(parts)
