"""The unit of work: one model, adapted in one way on one training set, evaluated on some benchmarks."""

from __future__ import annotations

import hashlib
import json

from pydantic import Field

from ia2_eval.experiments.adapter_specs import AdapterSpec, Lora
from ia2_eval.experiments.agreement import Agreement
from ia2_eval.experiments.method_options import MethodVariant
from ia2_eval.lm.base_model import Base
from ia2_eval.protocol import Protocol


class Cell(MethodVariant):
    """Frozen specification of one unit of work.

    Everything that can change the result is in it and nothing else is, so that its key names the result.
    A field that does not apply to the method is None: `no_icl` has no training set, `icl` no learning rate.
    """

    version: int = Field(default=1, description="raised when the same cell would give another result")
    base: Base
    source: str = Field(description="benchmark that demonstrations and training examples come from")
    n: int | None = Field(default=None, description="size N of the training set D_T(N, seed)")
    seed: int | None = Field(default=None, description="draw of D_T, adapter initialisation, example order")
    adapter: AdapterSpec | None = None
    learning_rate: float | None = None
    epochs: int | None = None
    batch_size: int | None = Field(default=None, description="training examples per optimiser step")
    target_tokens: int | None = Field(default=None, description="T: tokens of the teacher's response at most")
    protocol: Protocol = "strict"
    evals: tuple[str, ...] = Field(description="benchmarks to evaluate on: the source, then its OOD partners")
    limit: int | None = Field(default=None, description="evaluate on the first `limit` examples only")
    temperature_scaling: bool | None = Field(
        default=None, description="fit a temperature to the dev set; None without one, and for multi-token sources"
    )
    agreement: Agreement | None = Field(default=None, description="None for single-token sources")
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
    def variant(self) -> str:
        """What sets the method apart from its plain form, such as `icl_outputs`, `w=0.1` or `top 20`; "" for that form.

        Cells of different variants are different entries of a table. Under `paper` the weight w is none: as published,
        it is chosen together with the learning rate.
        """
        parts = [
            self.labels or "",
            "" if self.sft_weight is None or self.protocol == "paper" else f"w={self.sft_weight}",
            "" if self.top_k is None else f"top {self.top_k}",
            self.alignment.label if self.alignment else "",
            self.low_data.label if self.low_data else "",
            "" if self.demonstration_orders is None else f"{self.demonstration_orders} orders",
        ]
        return ", ".join(filter(None, parts))

    @property
    def label(self) -> str:
        """Short name for progress lines, such as `sst2 N=4 seed 0 ia2_sft lr 0.001`."""
        parts = [self.source]
        if self.n is not None:
            parts.append(f"N={self.n} seed {self.seed}")
        parts.append(self.method)
        if self.variant:
            parts.append(f"({self.variant})")
        if self.adapter is not None and self.adapter != Lora():
            parts.append(self.adapter.label)
        if self.sft_weight is not None and self.protocol == "paper":
            parts.append(f"w {self.sft_weight}")
        if self.learning_rate is not None:
            parts.append(f"lr {self.learning_rate:g}")
        return " ".join(parts)
