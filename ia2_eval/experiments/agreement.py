"""Further answers to the same queries, sampled: how often they agree with the first one tells how sure the model is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ia2_eval.frozen import Frozen

if TYPE_CHECKING:
    from ia2_eval.lm.ia2_hf import IA2HF


class Agreement(Frozen):
    """How many further texts are sampled for each query of a multi-token benchmark, and how."""

    samples: int = Field(ge=2, description="k: texts per query")
    temperature: float = Field(default=0.7, gt=0, allow_inf_nan=False)


def sample_texts(
    lm: IA2HF, answered: Sequence[Mapping[str, Any]], agreement: Agreement, seed: int
) -> list[tuple[str, ...]]:
    """k texts for each query, drawn from the whole vocabulary at a temperature.

    A text follows from the seed, its query and its number among the texts of that query, up to rounding: neither the
    batch size nor the other queries matter, nor does the global random state, which is left as it was.

    Args:
        lm: model that has answered the queries greedily.
        answered: lm-eval's samples, whose prompts and other settings of generation are used again.
        agreement: k and the temperature.
        seed: see `draw_seed`.
    """
    from lm_eval.api.instance import Instance

    count = agreement.samples
    sampling = {"do_sample": True, "temperature": agreement.temperature, "top_k": 0, "top_p": 1.0, "seed": seed}
    requests = []
    for row in answered:
        prompt, settings = row["arguments"][0]
        requests += [Instance("generate_until", row["doc"], (prompt, settings | sampling), idx) for idx in range(count)]
    texts = [str(text) for text in lm.generate_until(requests, disable_tqdm=True)]
    return [tuple(texts[start : start + count]) for start in range(0, len(texts), count)]


def draw_seed(seed: int | None, benchmark: str) -> int:
    """Seed of the texts that a cell of this seed samples on a benchmark; a cell without a seed counts as 0."""
    return int.from_bytes(hashlib.sha256(f"{seed or 0} {benchmark}".encode()).digest()[:8], "big")
