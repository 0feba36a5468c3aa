"""Generates text token by token, for rows of any length that may share a prefix.

Shapes: B rows, V vocabulary.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from ia2_eval.lm.reading import Reading
from ia2_eval.lm.shared_prefix import SharedPrefix

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

Done = Callable[[Sequence[int]], bool]
"""Whether a row is done with the tokens that were generated."""


@dataclass(frozen=True)
class Decoding:
    """How the next token is chosen. What is None is off: there is no hidden top-k of 50, as `generate` has it."""

    do_sample: bool = False
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    """Of the tokens in `penalty_scope`, padding excluded."""
    penalty_scope: Literal["all", "generated"] = "all"
    """Tokens of prompt and text, or of the text alone. With demonstrations in the prompt, `all` has nearly every
    frequent token penalised before the first one is generated."""
    seed: int | None = None
    """Of sampled texts, each of which then depends on its own seed only; None: of the global random state, so that it
    depends on what is sampled beside it."""

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Decoding | None:
        """From lm-eval's generation arguments; None if they ask for something else, such as beams."""
        known = {each.name for each in fields(cls)}
        return cls(**settings) if settings.keys() <= known else None

    @property
    def penalises(self) -> bool:
        return self.repetition_penalty not in (None, 1.0)

    def choose(self, logits: Tensor, seen: Tensor | None = None, draws: Sequence[float] = ()) -> Tensor:
        """A token for each row, [B].

        Args:
            logits: [B, V] float32.
            seen: [B, V] bool, the tokens of each row that are penalised; needed with a penalty only.
            draws: a number from 0 to 1 for each row, which decides what is sampled; none to draw from the global
                random state.
        """
        if self.penalises:
            assert seen is not None and self.repetition_penalty is not None
            # As in transformers' `RepetitionPenaltyLogitsProcessor`, which reads the whole prompt at every token.
            penalised = torch.where(logits < 0, logits * self.repetition_penalty, logits / self.repetition_penalty)
            logits = torch.where(seen, penalised, logits)
        if not self.do_sample:
            return logits.argmax(-1)
        warpers = LogitsProcessorList()
        if self.temperature not in (None, 1.0):
            warpers.append(TemperatureLogitsWarper(float(self.temperature)))
        if self.top_k:
            warpers.append(TopKLogitsWarper(self.top_k))
        if self.top_p is not None and self.top_p < 1:
            warpers.append(TopPLogitsWarper(self.top_p))
        if self.min_p:
            warpers.append(MinPLogitsWarper(self.min_p))
        probabilities = warpers(None, logits).softmax(-1)
        if not draws:
            return torch.multinomial(probabilities, 1)[:, 0]
        exact = probabilities.cpu() if probabilities.device.type == "mps" else probabilities  # which has no float64
        cumulated = exact.double().cumsum(-1)  # [B, V]
        wanted = torch.tensor(draws, dtype=cumulated.dtype, device=cumulated.device)[:, None] * cumulated[:, -1:]
        return torch.searchsorted(cumulated, wanted, right=True)[:, 0].to(logits.device)


@dataclass
class Generated:
    """What was generated for a row."""

    token_ids: list[int] = field(default_factory=list)
    log_likelihoods: list[float] = field(default_factory=list)
    """Of each token under the model's own distribution, in nats."""


def generate(
    model: PreTrainedModel | PeftModel,
    rows: Sequence[Sequence[int]],
    done: Done,
    most: int,
    decoding: Decoding,
    prefix: SharedPrefix | None = None,
    prefix_ids: Sequence[int] = (),
    seeds: Sequence[int] = (),
    finished: Callable[[int, Generated], None] = lambda row, generated: None,
) -> list[Generated]:
    """Generate until every row is done, or has the most tokens; rows that are done take no further time.

    Args:
        model: in evaluation mode.
        rows: B prompts, without the prefix.
        done: whether a row is done; asked after each of its tokens.
        most: tokens of a row.
        decoding: how tokens are chosen.
        prefix: what all rows begin with.
        prefix_ids: its tokens.
        seeds: of what is sampled for each row; none to draw from the global random state.
        finished: called with the number of each row and what was generated for it as soon as it is done.
    """
    random = [np.random.default_rng(seed) for seed in seeds]
    reading = Reading(model, rows, prefix, room=most)
    generated = [Generated() for _ in rows]
    going = list(range(len(rows)))
    logits = reading.first()[:, 0]
    seen = None
    if decoding.penalises:
        prompts = [[*prefix_ids, *row] if decoding.penalty_scope == "all" else [] for row in rows]
        seen = tokens_seen(prompts, logits)
    for length in range(1, most + 1):
        logits = logits.float()
        tokens = decoding.choose(logits, seen, [random[row].random() for row in going if seeds])
        if seen is not None:
            seen.scatter_(1, tokens[:, None], True)
        likelihoods = logits.gather(1, tokens[:, None])[:, 0] - logits.logsumexp(-1)
        for row, token, likelihood in zip(going, tokens.tolist(), likelihoods.tolist(), strict=True):
            generated[row].token_ids.append(token)
            generated[row].log_likelihoods.append(likelihood)
        left = []
        for place, row in enumerate(going):
            if done(generated[row].token_ids) or length == most:
                finished(row, generated[row])
            else:
                left.append(place)
        if not left:
            break
        if len(left) < len(going):
            kept = torch.tensor(left)  # on the CPU, from where it indexes the tensors of every device
            reading.keep(kept)
            tokens, going = tokens[kept], [going[place] for place in left]
            seen = None if seen is None else seen[kept]
        logits = reading.next(tokens)
    return generated


def tokens_seen(rows: Sequence[Sequence[int]], logits: Tensor) -> Tensor:
    """Which tokens of the vocabulary occur in each row, [B, V] bool, beside the logits [B, V]."""
    seen = torch.zeros(logits.shape, dtype=torch.bool, device=logits.device)
    for mask, row in zip(seen, rows, strict=True):
        mask[torch.tensor(row, dtype=torch.long, device=logits.device)] = True
    return seen


def text_seeds(asked: Sequence[tuple[str, int | None]]) -> list[int]:
    """A seed for each text from its prompt and the seed that was asked for, another one each time that both occur.

    None at all unless every text has a seed.
    """
    if any(seed is None for _, seed in asked):
        return []
    times = Counter[tuple[str, int | None]]()
    seeds = []
    for prompt, seed in asked:
        digest = hashlib.sha256(f"{seed} {times[prompt, seed]} {prompt}".encode()).digest()
        seeds.append(int.from_bytes(digest[:8], "big"))
        times[prompt, seed] += 1
    return seeds
