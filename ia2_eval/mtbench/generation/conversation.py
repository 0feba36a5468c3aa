"""How a conversation is put to a model, where an answer ends, and what of the generated text is the answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from ia2_eval.mtbench.generation.fenced_answer import fenced_answer
from ia2_eval.mtbench.prompts.prompt_set import PromptSet, block

if TYPE_CHECKING:
    from lm_eval.api.model import LM

CleanUp = Literal["fence", "paper"]
"""`fence`: what stands before the closing fence of the format, code blocks and all. `paper`: as published."""
CLEAN_UPS: tuple[str, ...] = get_args(CleanUp)

PAPER_STOPS = ("# Query", "# User")
"""Stop strings of URIAL's runs, wherever they occur; `## User Experience` holds one."""


class Conversation(Protocol):
    """A way to ask a model."""

    @property
    def until(self) -> tuple[str, ...]:
        """Strings at which generation stops."""

    def prompt(self, queries: Sequence[str], answers: Sequence[str]) -> str:
        """The text that the answer to the last query follows; `answers` to all queries before it."""

    def clean(self, generated: str) -> str:
        """The answer in a generated text."""


@dataclass(frozen=True)
class UrialConversation:
    """Behind a prompt set, in its own headings and fences."""

    prompt_set: PromptSet
    clean_up: CleanUp = "fence"

    @property
    def until(self) -> tuple[str, ...]:
        # The closing fence is none: an answer may hold code blocks. The heading is one only on a line of its own.
        return PAPER_STOPS if self.clean_up == "paper" else (f"\n{self.prompt_set.headings.query}\n",)

    def prompt(self, queries: Sequence[str], answers: Sequence[str]) -> str:
        prompt = self.prompt_set.prompt(queries, answers)
        if self.clean_up == "fence":
            return prompt
        # The published formatter takes an empty answer for one that is still to come, and leaves its fence open.
        headings, shown = self.prompt_set.headings, len(self.prompt_set.text)
        empty, left_open = block(headings.answer, "", headings.fence), f"{headings.answer}\n{headings.fence}\n"
        return prompt[:shown] + prompt[shown:].replace(empty, left_open)

    def clean(self, generated: str) -> str:
        headings = self.prompt_set.headings
        if self.clean_up == "paper":
            return published_clean_up(generated)
        lines = "|".join(re.escape(heading.strip()) for heading in (headings.query, headings.answer))
        answer = re.split(rf"^(?:{lines})[ \t\r]*$", generated, maxsplit=1, flags=re.MULTILINE)[0]
        return (fenced_answer(answer, headings.fence) if headings.fence else answer).strip()


@dataclass(frozen=True)
class ChatConversation:
    """Through the chat template of a model that was trained to chat."""

    lm: LM

    @property
    def until(self) -> tuple[str, ...]:
        return ()  # the model ends its turn itself

    def prompt(self, queries: Sequence[str], answers: Sequence[str]) -> str:
        history = [{"role": "user", "content": queries[0]}]
        for answer, query in zip(answers, queries[1:], strict=True):
            history += [{"role": "assistant", "content": answer}, {"role": "user", "content": query}]
        prompt: str = self.lm.apply_chat_template(history)  # of a chat endpoint lm-eval's `JsonChatStr`
        return prompt

    def clean(self, generated: str) -> str:
        return generated.strip()


def published_clean_up(generated: str) -> str:
    """As in URIAL's and icl-alignment's runs: fences are deleted wherever they stand, those of code blocks too."""
    return generated.rstrip().replace("```", "").replace("<|endoftext|>", " ").strip()
