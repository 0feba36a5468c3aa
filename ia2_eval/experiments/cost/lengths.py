"""Tokens of the texts of benchmarks under one tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ia2_eval.benchmarks import Example, load_benchmark
from ia2_eval.benchmarks.training_set import DEV_SIZE, draw_order

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Counts = NDArray[np.int64]

SAMPLE = 256
"""Examples whose mean length stands for those of a pool, where each query has demonstrations of its own."""


class Drawn(NamedTuple):
    """Tokens of the first examples of a pool in the order of draws, each array of as many."""

    prompts: Counts
    """Alone, with the special tokens that the tokenizer puts first."""
    answers: Counts
    demonstrations: Counts
    """Prompt, answer and the blank line behind them, without special tokens."""


class Queries(NamedTuple):
    """Prompts that a model is to answer."""

    prompts: Counts
    """Tokens of each prompt, with special tokens."""
    common: int
    """Tokens that all of them begin with."""
    label_ends: tuple[int, ...]
    """Tokens that are read behind a prompt, for each reading that the labels need; (0,) where each is one token."""
    labels: int
    """0 for generated text."""


@dataclass
class Lengths:
    """Tokens of texts, each counted once.

    Those of a prompt with demonstrations are the sum of those of its parts: tokenizers cut at blank lines. This is
    tried on one prompt of each draw; where it is not so, `exact` is False and sums are scaled to that prompt.
    """

    tokenizer: PreTrainedTokenizerBase
    data_dir: Path | None = None
    exact: bool = True
    _drawn: dict[tuple[str, int], Drawn] = field(default_factory=dict)
    _queries: dict[tuple[str, int | None], Queries] = field(default_factory=dict)
    _development: dict[tuple[str, int, int], Queries] = field(default_factory=dict)

    def drawn(self, source: str, seed: int, count: int) -> Drawn:
        """The first `count` examples, or all there are; ask for the most first."""
        known = self._drawn.get((source, seed))
        if known is None or len(known.prompts) < count:
            data = load_benchmark(source, self.data_dir)
            known = self._drawn[source, seed] = self._draw(draw_order(data, seed)[:count])
        return Drawn(*(counts[:count] for counts in known))

    def _draw(self, examples: Sequence[Example]) -> Drawn:
        from ia2_training.examples import SEPARATOR

        prompts = self._count([example.prompt for example in examples]) + self.special
        demonstrations = self._count([example.text + SEPARATOR for example in examples])
        shown = examples[1:5]
        whole = SEPARATOR.join([*(example.text for example in shown), examples[0].prompt])
        expected = self._count([whole])[0] + self.special
        found = int(demonstrations[1:5].sum() + prompts[0])
        if found != expected:
            self.exact = False
            demonstrations = np.rint(demonstrations * ((expected - prompts[0]) / (found - prompts[0]))).astype(np.int64)
        return Drawn(prompts, self._count([example.answer for example in examples]), demonstrations)

    def queries(self, name: str, limit: int | None) -> Queries:
        """The evaluation set, or the first `limit` of it."""
        if (name, limit) not in self._queries:
            data = load_benchmark(name, self.data_dir)
            self._queries[name, limit] = self._ask(data.evaluation[:limit], data.benchmark.labels or ())
        return self._queries[name, limit]

    def development(self, source: str, seed: int, n: int) -> Queries:
        """The dev set of a training set, read as an evaluation reads its queries."""
        if (source, seed, n) not in self._development:
            data = load_benchmark(source, self.data_dir)
            dev = draw_order(data, seed)[n : n + min(DEV_SIZE, n // 2)]
            self._development[source, seed, n] = self._ask(dev, data.benchmark.labels or ())
        return self._development[source, seed, n]

    def _ask(self, examples: Sequence[Example], labels: Sequence[str]) -> Queries:
        from ia2_eval.lm.shared_beginning import common_length

        ids = self._encode([example.prompt for example in examples])
        # The last token of a label is only predicted: labels that differ in it alone share a reading.
        ends = {tuple(label[:-1]) for label in self._encode(labels)} or {()}
        common = common_length(min(ids), max(ids)) if ids else 0
        return Queries(
            np.array([len(each) + self.special for each in ids], np.int64),
            common + self.special,
            tuple(sorted(map(len, ends))),
            len(labels),
        )

    @cached_property
    def special(self) -> int:
        """Special tokens of a text."""
        return int(self.tokenizer.num_special_tokens_to_add(pair=False))

    def _count(self, texts: Sequence[str]) -> Counts:
        return np.array([len(ids) for ids in self._encode(texts)], np.int64)

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        encoded: list[list[int]] = self.tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []
        return encoded
