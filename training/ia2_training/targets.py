"""What the teacher, the base model with demonstrations, gives for a query: the targets of alignment and of soft labels.

Shapes: T tokens, L layers, G response tokens, d width, V vocabulary, k most probable tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import safe_open
from torch import Tensor

from .activations import Output
from .batches import encode_prompt, end_of_sequence
from .decoding import decode
from .examples import TrainingExample, in_demonstration_orders
from .response import AnswerEnd, Response

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from .config import TrainingConfig
    from .methods import Method


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a safetensors file, read at every use."""

    path: Path
    name: str

    def read(self) -> Tensor:
        with safe_open(self.path, framework="pt") as file:
            tensor: Tensor = file.get_tensor(self.name)
        return tensor


@dataclass(frozen=True)
class Targets:
    """The teacher's response to one query, and the activations that led to it."""

    response_ids: tuple[int, ...]
    """G token ids."""
    source: Tensor | StoredTensor
    """The activations, or where they are read from at every use."""
    output: Output = "attention"
    """What was recorded of each layer."""
    log_probabilities: Tensor | StoredTensor | None = None
    """The teacher's distributions, [G, V] or [G, k], the most probable token first; None if they were not collected."""
    token_ids: Tensor | StoredTensor | None = None
    """[G, k] int64, the tokens that the k log-probabilities belong to; None with the whole vocabulary."""

    @property
    def activations(self) -> Tensor:
        """[L, G, d], in the dtype of the base; position g is the one that predicted response token g."""
        return _read(self.source)

    def to(self, device: torch.device | str) -> Targets:
        """The same with what is in memory on a device; what is stored stays there, and is read to the CPU."""

        def moved(tensor: Tensor | StoredTensor) -> Tensor | StoredTensor:
            return tensor.to(device) if isinstance(tensor, Tensor) else tensor

        return replace(
            self,
            source=moved(self.source),
            log_probabilities=None if self.log_probabilities is None else moved(self.log_probabilities),
            token_ids=None if self.token_ids is None else moved(self.token_ids),
        )

    def narrowed(self, top_k: int) -> Targets:
        """The same with the k most probable tokens only, in memory.

        Raises:
            ValueError: distributions were not collected, or for fewer tokens.
        """
        log_probabilities, token_ids = self.distributions(top_k)
        return replace(self, log_probabilities=log_probabilities, token_ids=token_ids)

    def distributions(self, top_k: int | None = None) -> tuple[Tensor, Tensor | None]:
        """The teacher's distributions where it predicted each response token.

        Args:
            top_k: the k most probable tokens only; None: the whole vocabulary.

        Returns:
            Log-probabilities, float32, and the tokens that they belong to: [G, V] and None, or [G, k] and [G, k].

        Raises:
            ValueError: they were not collected, or for fewer tokens.
        """
        if self.log_probabilities is None:
            raise ValueError(
                "The targets hold no distributions of the teacher. Collect them again with distributions=True."
            )
        log_probabilities = _read(self.log_probabilities)
        if self.token_ids is None:
            if top_k is None:
                return log_probabilities, None
            _require_vocabulary(top_k, log_probabilities.shape[-1])
            values, token_ids = log_probabilities.topk(top_k)
            return values, token_ids
        stored = log_probabilities.shape[-1]
        if top_k is None or top_k > stored:
            wanted = "the whole distributions" if top_k is None else f"the {top_k} most probable tokens"
            raise ValueError(
                f"The targets hold the teacher's {stored} most probable tokens, not {wanted}. "
                f"Collect them again with top_k={top_k}."
            )
        return log_probabilities[:, :top_k], _read(self.token_ids)[:, :top_k]


@dataclass(frozen=True)
class TeacherTargets:
    """Targets of a training and a dev set; they depend on neither method nor learning rate, so collect them once."""

    train: tuple[Targets, ...]
    """With several orders of the demonstrations: those of all examples in the first order, then in the next one."""
    dev: tuple[Targets, ...]

    def to(self, device: torch.device | str) -> TeacherTargets:
        """The same with what is in memory on a device, so that no step has to move it there."""
        return TeacherTargets(*(tuple(target.to(device) for target in part) for part in (self.train, self.dev)))

    @classmethod
    def collect(
        cls,
        model: PreTrainedModel | PeftModel,
        tokenizer: PreTrainedTokenizerBase,
        train: Sequence[TrainingExample],
        dev: Sequence[TrainingExample] = (),
        *,
        max_new_tokens: int = 1,
        answer_end: AnswerEnd | None = None,
        batch_size: int = 8,
        output: Output = "attention",
        distributions: bool = False,
        top_k: int | None = None,
    ) -> TeacherTargets:
        """Targets of both sets in one go; the arguments are those of `collect_targets`."""
        targets = collect_targets(
            model,
            tokenizer,
            [*train, *dev],
            max_new_tokens=max_new_tokens,
            answer_end=answer_end,
            batch_size=batch_size,
            output=output,
            distributions=distributions,
            top_k=top_k,
        )
        return cls(targets[: len(train)], targets[len(train) :])

    @classmethod
    def for_method(
        cls,
        model: PreTrainedModel | PeftModel,
        tokenizer: PreTrainedTokenizerBase,
        train: Sequence[TrainingExample],
        dev: Sequence[TrainingExample],
        config: TrainingConfig,
        method: Method,
    ) -> TeacherTargets:
        """What a method needs of the teacher, in all orders of the demonstrations that the configuration asks for."""
        return cls.collect(
            model,
            tokenizer,
            in_demonstration_orders(train, config.demonstration_orders, config.seed),
            dev,
            max_new_tokens=config.max_new_tokens,
            answer_end=config.answer_end,
            batch_size=config.target_batch_size,
            output=method.alignment.output,
            distributions=method.asks_distributions,
            top_k=method.top_k,
        )


def collect_targets(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[TrainingExample],
    *,
    max_new_tokens: int = 1,
    answer_end: AnswerEnd | None = None,
    batch_size: int = 8,
    output: Output = "attention",
    distributions: bool = False,
    top_k: int | None = None,
) -> tuple[Targets, ...]:
    """Decode greedily after the demonstrations and record the activations as the tokens are produced.

    The prefill gives the activations at the last prompt token, each cached decoding step those of the next position:
    no further pass is needed. An adapter on the model is switched off meanwhile, and the model is left in eval mode.

    Args:
        model: the base model.
        tokenizer: its tokenizer.
        examples: queries with the demonstrations that the teacher sees.
        max_new_tokens: most response tokens; 1 for tasks whose answer is a single token.
        answer_end: cut a response at the end of its first answer: the fewest tokens that reach it are kept, and the
            end-of-sequence token follows, with the activations of the position that it is to be predicted from.
            None keeps all tokens, as published: a response that ended on another end token of the generation
            configuration is closed by the tokenizer's own.
        batch_size: queries decoded together.
        output: what to record of each layer.
        distributions: keep the teacher's distribution at each of the recorded positions too.
        top_k: of its k most probable tokens only.

    Returns:
        Targets, in the order of the examples.

    Raises:
        ValueError: an empty prompt, one that is too long for the model with its demonstrations, an unknown model
            layout, `top_k` without distributions or beyond the vocabulary, or no end-of-sequence token where one is
            needed.
    """
    if top_k is not None and not distributions:
        raise ValueError(f"top_k = {top_k} is of the teacher's distributions: ask for distributions=True too.")
    if top_k is not None:
        _require_vocabulary(top_k, model.config.get_text_config().vocab_size)
    model.eval()
    prompts = [encode_prompt(tokenizer, example.context) for example in examples]
    _require_room(model, prompts, max_new_tokens)
    end_ids = stop_ids(model)
    eos = end_of_sequence(tokenizer) if max_new_tokens > 1 else None
    by_length = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    collected: dict[int, Targets] = {}
    for start in range(0, len(prompts), batch_size):
        chunk = by_length[start : start + batch_size]
        responses = [Response(tokenizer, eos, end_ids, answer_end, max_new_tokens, distributions, top_k) for _ in chunk]
        decode(model, [prompts[index] for index in chunk], responses, max_new_tokens, output)
        for index, response in zip(chunk, responses, strict=True):
            collected[index] = Targets(
                tuple(response.tokens), response.stacked_activations(), output, *response.stacked_distributions()
            )
    return tuple(collected[index] for index in range(len(prompts)))


def stop_ids(model: PreTrainedModel | PeftModel) -> frozenset[int]:
    """The end tokens of the generation configuration; an Instruct model has several."""
    ids = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    if ids is None:
        return frozenset()
    return frozenset([ids] if isinstance(ids, int) else ids)


def _read(tensor: Tensor | StoredTensor) -> Tensor:
    return tensor if isinstance(tensor, Tensor) else tensor.read()


def _require_room(model: PreTrainedModel | PeftModel, prompts: Sequence[tuple[int, ...]], max_new_tokens: int) -> None:
    room = getattr(model.config, "max_position_embeddings", None)
    longest = max(map(len, prompts), default=0)
    if room is not None and longest + max_new_tokens > room:
        raise ValueError(
            f"The longest prompt with its demonstrations has {longest} tokens; with {max_new_tokens} to generate it "
            f"does not fit into the model's {room} positions. Use fewer demonstrations."
        )


def _require_vocabulary(top_k: int, vocabulary: int) -> None:
    if top_k > vocabulary:
        raise ValueError(f"top_k = {top_k}: the model's vocabulary has {vocabulary} tokens.")
