"""Teacher, the base with demonstrations, and student, any model without: how alike their self-attention outputs are.

arXiv 2509.22621, section 5. Shapes: B batch, L layers, G response tokens, d width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from ia2_training import AnswerEnd, Targets, TrainingExample, collect_targets, record_activations
from ia2_training.batches import TokenSequence, encode_prompt, left_pad, make_batch
from ia2_training.response import tokens_to_answer_end
from ia2_training.virtual_tokens import virtual_token_count
from torch import Tensor

from ia2_eval.analyses.cosine import cosine_grid

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TokenIds = tuple[int, ...]


class Teacher:
    """The teacher's greedy responses to some queries, and the activations that led to them.

    They depend on no adapter: collected once, every student is compared with them. They are held in memory, n L G d
    numbers in the dtype of the base.
    """

    def __init__(
        self,
        base: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        examples: Sequence[TrainingExample],
        *,
        max_new_tokens: int,
        answer_end: AnswerEnd | None,
        batch_size: int,
    ) -> None:
        """
        Args:
            base: without an adapter.
            tokenizer: its tokenizer.
            examples: queries with the demonstrations that the teacher is shown; students read the query alone.
            max_new_tokens: most response tokens; 1 for answers of one token.
            answer_end: where a response of several tokens is cut; None: nowhere, as published.
            batch_size: queries that are run together, of teacher and students.

        Raises:
            ValueError: a query does not fit into the model with its demonstrations.
        """
        self.tokenizer, self.max_new_tokens, self.answer_end = tokenizer, max_new_tokens, answer_end
        self.batch_size = batch_size
        self.prompts: list[TokenIds] = [encode_prompt(tokenizer, example.prompt) for example in examples]
        self.targets: tuple[Targets, ...] = collect_targets(
            base,
            tokenizer,
            examples,
            max_new_tokens=max_new_tokens,
            answer_end=answer_end,
            batch_size=batch_size,
        )

    def teacher_forced(self, student: PreTrainedModel | PeftModel) -> list[Tensor]:
        """Similarity [L, G] for each query, the student reading the teacher's response."""
        return self._compare(student, [targets.response_ids for targets in self.targets])

    def free_running(self, student: PreTrainedModel | PeftModel) -> list[Tensor]:
        """Similarity [L, G] for each query, the student reading its own greedy response, as published.

        Both are cut to the shorter of the two responses. With answers of one token nothing is read but the query, and
        the two ways are one.
        """
        if self.max_new_tokens == 1:
            return self.teacher_forced(student)
        return self._compare(student, self._responses(student))

    @torch.no_grad()
    def _compare(self, student: PreTrainedModel | PeftModel, responses: Sequence[TokenIds]) -> list[Tensor]:
        student.eval()
        similarity: list[Tensor] = []
        for start in range(0, len(self.prompts), self.batch_size):
            targets = self.targets[start : start + self.batch_size]
            sequences = [
                TokenSequence(prompt, response[: len(target.response_ids)])
                for prompt, response, target in zip(self.prompts[start:], responses[start:], targets, strict=False)
            ]
            batch = make_batch(sequences, device=student.device)
            with record_activations(student, last=batch.response_ids.shape[1]) as outputs:
                batch.logits(student, last=1)
            activations = torch.stack(outputs, dim=1)  # [B, L, longest G, d]
            for row, sequence, target in zip(activations, sequences, targets, strict=True):
                count = len(sequence.response_ids)
                similarity.append(cosine_grid(row[:, -count:], target.activations[:, :count].to(row.device)).cpu())
        return similarity

    @torch.no_grad()
    def _responses(self, student: PreTrainedModel | PeftModel) -> list[TokenIds]:
        """The student's own greedy responses, each up to where the teacher's would end."""
        eos = student.generation_config.eos_token_id
        stop_ids = {self.tokenizer.eos_token_id, *(eos if isinstance(eos, list) else [eos])} - {None}
        # Padding between virtual tokens and a prompt would count in PEFT's own decoding.
        batch_size = 1 if virtual_token_count(student) else self.batch_size
        responses: list[TokenIds] = []
        for start in range(0, len(self.prompts), batch_size):
            input_ids, attention_mask, _ = left_pad(self.prompts[start : start + batch_size], device=student.device)
            generated = student.generate(
                input_ids=input_ids,
                attention_mask=attention_mask,
                max_new_tokens=self.max_new_tokens,
                do_sample=False,
                eos_token_id=sorted(stop_ids) or None,
                pad_token_id=self.tokenizer.pad_token_id,
            )  # [B, T + G]
            responses += [self._cut(row, stop_ids) for row in generated[:, input_ids.shape[1] :].tolist()]
        return responses

    def _cut(self, tokens: list[int], stop_ids: set[int]) -> TokenIds:
        """Up to the first end token, or one past the first answer, as the teacher's: there the end is predicted."""
        stops = [place for place, token in enumerate(tokens) if token in stop_ids]
        tokens = tokens[: stops[0] + 1] if stops else tokens
        kept = tokens_to_answer_end(self.tokenizer, tokens, self.answer_end)
        return tuple(tokens if kept is None else tokens[: kept + 1])
