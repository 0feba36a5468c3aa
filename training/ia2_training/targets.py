"""What the teacher, the base model with demonstrations, gives for a query: the targets of alignment.

Shapes: B batch, T tokens, L layers, G response tokens, d width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from .activations import record_attention_outputs
from .adapters import require_no_adapter
from .batches import encode_prompt, end_of_sequence, left_pad
from .examples import TrainingExample

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

AnswerEnd = Callable[[str], "int | None"]
"""Index just past the first complete answer in a text; None while there is none."""


@dataclass(frozen=True)
class Targets:
    """The teacher's response to one query, and the attention outputs that led to it."""

    response_ids: tuple[int, ...]
    """G token ids."""
    source: Tensor | Path
    """The activations, or the file that they are read from at every use."""

    @property
    def activations(self) -> Tensor:
        """[L, G, d] on the CPU, in the dtype of the base; position g is the one that predicted response token g."""
        if isinstance(self.source, Tensor):
            return self.source
        with safe_open(self.source, framework="pt") as file:
            activations: Tensor = file.get_tensor("activations")
        return activations

    def save(self, path: Path) -> Targets:
        """Write to a safetensors file, under a temporary name first; the same targets, read from it when needed."""
        partial = path.with_name(path.name + ".partial")
        save_file({"response_ids": torch.tensor(self.response_ids), "activations": self.activations}, partial)
        partial.replace(path)
        return Targets(self.response_ids, path)

    @classmethod
    def load(cls, path: Path) -> Targets:
        """Targets that `save` has written; the activations stay in the file."""
        with safe_open(path, framework="pt") as file:
            return cls(tuple(file.get_tensor("response_ids").tolist()), path)


@dataclass(frozen=True)
class TeacherTargets:
    """Targets of a training and a dev set; they depend on neither method nor learning rate, so collect them once."""

    train: tuple[Targets, ...]
    dev: tuple[Targets, ...]

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
        directory: Path | None = None,
    ) -> TeacherTargets:
        """Targets of both sets in one go; the arguments are those of `collect_targets`."""
        targets = collect_targets(
            model,
            tokenizer,
            [*train, *dev],
            max_new_tokens=max_new_tokens,
            answer_end=answer_end,
            batch_size=batch_size,
            directory=directory,
        )
        return cls(targets[: len(train)], targets[len(train) :])


def collect_targets(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[TrainingExample],
    *,
    max_new_tokens: int = 1,
    answer_end: AnswerEnd | None = None,
    batch_size: int = 8,
    directory: Path | None = None,
) -> tuple[Targets, ...]:
    """Decode greedily after the demonstrations and record the attention outputs as the tokens are produced.

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
        directory: where to keep the activations, one safetensors file for each example; None keeps them in memory.

    Returns:
        Targets, in the order of the examples.

    Raises:
        ValueError: an empty prompt, one that is too long for the model with its demonstrations, an unknown model
            layout, or no end-of-sequence token where one is needed.
    """
    model.eval()
    prompts = [encode_prompt(tokenizer, example.context) for example in examples]
    _require_room(model, prompts, max_new_tokens)
    stop_ids = _stop_ids(model)
    eos = end_of_sequence(tokenizer) if max_new_tokens > 1 else None
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)

    collected: list[Targets] = []
    for start in range(0, len(prompts), batch_size):
        chunk = prompts[start : start + batch_size]
        responses = [_Response(tokenizer, eos, stop_ids, answer_end, max_new_tokens) for _ in chunk]
        _decode(model, chunk, responses)
        for index, response in enumerate(responses, start):
            targets = response.targets()
            collected.append(targets.save(directory / f"{index:05d}.safetensors") if directory else targets)
    return tuple(collected)


def _require_room(model: PreTrainedModel | PeftModel, prompts: Sequence[tuple[int, ...]], max_new_tokens: int) -> None:
    room = getattr(model.config, "max_position_embeddings", None)
    longest = max(map(len, prompts), default=0)
    if room is not None and longest + max_new_tokens > room:
        raise ValueError(
            f"The longest prompt with its demonstrations has {longest} tokens; with {max_new_tokens} to generate it "
            f"does not fit into the model's {room} positions. Use fewer demonstrations."
        )


@dataclass
class _Response:
    """One response while it is being decoded, and the rule for where it ends."""

    tokenizer: PreTrainedTokenizerBase
    eos: int | None
    stop_ids: frozenset[int]
    answer_end: AnswerEnd | None
    max_new_tokens: int
    tokens: list[int] = field(default_factory=list)
    activations: list[Tensor] = field(default_factory=list)
    done: bool = False
    closing: bool = False  # on another end token: the tokenizer's own comes next, whatever the model predicts

    def add(self, token: int, activations: Tensor) -> None:
        """Take the predicted token and the activations [L, 1, d] of the position that predicted it."""
        token = self.eos if self.closing and self.eos is not None else token
        self.tokens.append(token)
        self.activations.append(activations)
        self.done = self.closing or token == self.eos or len(self.tokens) == self.max_new_tokens
        if self.closing or token == self.eos or self.eos is None:
            return
        self.closing = token in self.stop_ids
        kept = self._tokens_to_answer_end()
        if kept is not None and kept < len(self.tokens):  # the position after the answer has been recorded too
            self.tokens[kept:] = [self.eos]
            self.done = True

    def _tokens_to_answer_end(self) -> int | None:
        """The fewest tokens whose text reaches the end of the first answer; None while it is not complete."""
        end = self.answer_end(self._text(len(self.tokens))) if self.answer_end else None
        if end is None:
            return None
        return next(count for count in range(1, len(self.tokens) + 1) if len(self._text(count)) >= end)

    def _text(self, count: int) -> str:
        text: str = self.tokenizer.decode(
            self.tokens[:count], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def targets(self) -> Targets:
        activations = torch.cat(self.activations[: len(self.tokens)], dim=1)  # [L, G, d]
        return Targets(tuple(self.tokens), activations.cpu())


@torch.no_grad()
def _decode(model: PreTrainedModel | PeftModel, prompts: Sequence[tuple[int, ...]], responses: list[_Response]) -> None:
    """Fill the responses to a batch of prompts, by greedy decoding with a key-value cache."""
    input_ids, attention_mask, position_ids = left_pad(prompts, device=model.device)  # each [B, T]
    single_token = all(response.max_new_tokens == 1 for response in responses)
    cache = None
    with _without_adapter(model), record_attention_outputs(model, last=1) as outputs:
        while True:
            output = model(
                input_ids=input_ids,
                attention_mask=attention_mask,
                position_ids=position_ids,
                past_key_values=cache,
                use_cache=not single_token,
                logits_to_keep=1,
            )
            cache = output.past_key_values
            activations = torch.stack(outputs, dim=1)  # [B, L, 1, d]
            predicted = output.logits[:, -1].argmax(-1).tolist()  # B token ids
            for row, response in enumerate(responses):
                if not response.done:
                    response.add(predicted[row], activations[row])
            if all(response.done for response in responses):
                return
            # A row that is done runs along until the others are; what it is fed does not matter.
            input_ids = torch.tensor([[response.tokens[-1]] for response in responses], device=model.device)  # [B, 1]
            attention_mask = torch.nn.functional.pad(attention_mask, (0, 1), value=1)  # [B, T + steps]
            position_ids = position_ids[:, -1:] + 1  # [B, 1]


def _without_adapter(model: PreTrainedModel | PeftModel) -> AbstractContextManager[Any]:
    """The model as its pure base."""
    if hasattr(model, "disable_adapter"):  # PeftModel
        return cast("AbstractContextManager[Any]", model.disable_adapter())
    require_no_adapter(model)
    return nullcontext()


def _stop_ids(model: PreTrainedModel | PeftModel) -> frozenset[int]:
    """The end tokens of the generation configuration; an Instruct model has several."""
    ids = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    if ids is None:
        return frozenset()
    return frozenset([ids] if isinstance(ids, int) else ids)
