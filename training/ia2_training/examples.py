"""What a model is adapted on."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

SEPARATOR = "\n\n"


@dataclass(frozen=True)
class TrainingExample:
    """One query with its answer, and the demonstrations that the teacher sees before it."""

    prompt: str
    """The query, ending where the answer begins."""
    answer: str
    """The ground truth, as it would follow the prompt."""
    demonstrations: tuple[str, ...] = ()
    """Rendered demonstrations (prompt and answer of other examples), in the order in which the teacher reads them."""

    @property
    def context(self) -> str:
        """What the teacher reads: the demonstrations and the prompt, a blank line between each two."""
        return SEPARATOR.join((*self.demonstrations, self.prompt))


def in_demonstration_orders(examples: Sequence[TrainingExample], orders: int, seed: int) -> list[TrainingExample]:
    """The examples with their demonstrations in several orders: all in their own order first, then all in the next one.

    Further orders of an example are random permutations, all different; where it has too few demonstrations for that,
    they come round again.
    """
    digest = hashlib.sha256(f"demonstration orders {seed}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    permutations = [_permutations(len(example.demonstrations), orders, generator) for example in examples]
    return [
        replace(example, demonstrations=tuple(example.demonstrations[place] for place in own[order % len(own)]))
        for order in range(orders)
        for example, own in zip(examples, permutations, strict=True)
    ]


def _permutations(count: int, wanted: int, generator: torch.Generator) -> list[tuple[int, ...]]:
    """Different permutations of `count` things, the identity first: as many as wanted or as there are."""
    drawn = {tuple(range(count)): None}  # a dict keeps the order
    while len(drawn) < min(wanted, math.factorial(count)):
        drawn[tuple(torch.randperm(count, generator=generator).tolist())] = None
    return list(drawn)
