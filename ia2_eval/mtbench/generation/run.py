"""Two-turn answers of a model to questions, resumed where an earlier run ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ia2_eval.experiments.provenance import versions
from ia2_eval.mtbench.answers import (
    ModelAnswer,
    add_answer,
    answers_of_before,
    write_answers,
)
from ia2_eval.mtbench.generation.answer_settings import AnswerSettings, settings_of_before, write_settings
from ia2_eval.mtbench.generation.arrivals import generate
from ia2_eval.mtbench.generation.backends import require_supported
from ia2_eval.mtbench.generation.complete_answers import complete_answers
from ia2_eval.mtbench.generation.conversation import ChatConversation, CleanUp, Conversation, UrialConversation
from ia2_eval.mtbench.generation.decoding_settings import DecodingSettings
from ia2_eval.mtbench.generation.models import OpenModel
from ia2_eval.mtbench.generation.requests import generation_arguments
from ia2_eval.mtbench.generation.room import require_chat_room, require_room, room_behind
from ia2_eval.mtbench.generation.texts import Place, Text, TextLedger, prompt_sha256
from ia2_eval.mtbench.layout import Layout
from ia2_eval.mtbench.lock import sole_run
from ia2_eval.mtbench.prompts.prompt_set import PromptSet
from ia2_eval.mtbench.questions import Question

Say = Callable[[str], None]


def generate_answers(
    model: OpenModel,
    questions: Sequence[Question],
    prompt_set: PromptSet | None,
    decoding: DecodingSettings,
    layout: Layout,
    model_id: str,
    clean_up: CleanUp = "fence",
    say: Say = lambda line: None,
    bench: str | None = None,
) -> tuple[ModelAnswer, ...]:
    """Answer every turn of every question; the answer to a turn is part of the prompt of the next.

    Every text is written down when it arrives. Those of an earlier run are kept if they follow the same prompts, and
    answers to other questions of the bench stay in the file.

    Args:
        model: who answers.
        questions: what is asked.
        prompt_set: what stands before each conversation; None: the model's chat template is used.
        decoding: how answers are decoded.
        layout: where everything is written.
        model_id: name of the answers, and of their file.
        clean_up: how the answer is taken from a generated text.
        say: told what is going on, line by line.
        bench: whose questions these are; the answers of a name are to those of one bench.

    Raises:
        UserError: the backend cannot decode so, a prompt leaves no room for an answer, or there are answers of other
        settings under this name; nothing has been generated.
    """
    require_supported(model.backend, decoding, model.settings.base)
    conversation: Conversation
    if prompt_set is None:
        conversation = ChatConversation(model.lm)
        require_chat_room(model, conversation, questions, decoding.max_new_tokens)
    else:
        conversation = UrialConversation(prompt_set, clean_up)
        room = require_room(model, prompt_set, questions, decoding.max_new_tokens)
        if room is not None and room.warning is not None:
            say(f"{model_id}: {room.warning}")
    settings = AnswerSettings(
        model=model.settings,
        fingerprint=model.fingerprint,
        adapter=model.adapter,
        prompt_set=prompt_set.name if prompt_set else None,
        prompt_sha256=prompt_set.sha256 if prompt_set else None,
        decoding=decoding,
        clean_up=clean_up,
        bench=bench,
        versions=versions(),
    )
    with sole_run(layout.texts(model_id).parent):
        before = settings_of_before(layout, model_id, settings)
        run = _Run(model, conversation, settings.continuing(before) if before else settings, layout, model_id, say)
        return run.answer(questions)


@dataclass(frozen=True)
class _Run:
    model: OpenModel
    conversation: Conversation
    settings: AnswerSettings
    layout: Layout
    model_id: str
    say: Say

    def answer(self, questions: Sequence[Question]) -> tuple[ModelAnswer, ...]:
        ledger = TextLedger.open(self.layout.texts(self.model_id))
        self._forget_stale(questions, ledger)
        self._write_complete(questions, ledger)  # what is added to it follows whole lines, and nothing stale
        for turn in range(1, max((len(question.turns) for question in questions), default=0) + 1):
            self._answer_turn(turn, [question for question in questions if len(question.turns) >= turn], ledger)
        ledger.write_in_order()
        return self._write_complete(questions, ledger)

    @property
    def decoding(self) -> DecodingSettings:
        return self.settings.decoding

    def _forget_stale(self, questions: Sequence[Question], ledger: TextLedger) -> None:
        """Leave out texts of an earlier run that follow other prompts, and what came after them."""
        for question in questions:
            for sample in range(self.decoding.samples):
                answers: list[str] = []
                for turn in range(1, len(question.turns) + 1):
                    place = Place(question.question_id, sample, turn)
                    text = ledger.answer_to(place, self.conversation.prompt(question.turns[:turn], answers))
                    if text is None:
                        ledger.forget(place)
                        break
                    answers.append(text.answer)

    def _write_complete(self, questions: Sequence[Question], ledger: TextLedger) -> tuple[ModelAnswer, ...]:
        path = self.layout.answers(self.model_id)
        answers = complete_answers(ledger.texts, questions, self.decoding.samples, self.model_id)
        asked = {question.question_id for question in questions}
        others = [answer for answer in answers_of_before(path) if answer.question_id not in asked]
        write_answers(path, sorted([*others, *answers], key=lambda answer: answer.question_id))
        return answers

    def _answer_turn(self, turn: int, questions: Sequence[Question], ledger: TextLedger) -> None:
        samples = range(self.decoding.samples)
        asked = [(question, Place(question.question_id, sample, turn)) for question in questions for sample in samples]
        missing = [(question, place) for question, place in asked if place not in ledger.texts]
        waiting: dict[Place, tuple[str, dict[str, Any]]] = {}
        short = []
        for question, place in missing:
            before = [ledger.texts[place._replace(turn=earlier)].answer for earlier in range(1, turn)]
            prompt = self.conversation.prompt(question.turns[:turn], before)
            most = min(self.decoding.max_new_tokens, room_behind(self.model, prompt))
            if most < self.decoding.max_new_tokens:
                short.append(f"{question.question_id} ({max(most, 0)})")
            if most < 1:
                ledger.add(self._text(place, prompt, "", 0))
                continue
            arguments = generation_arguments(
                self.model.backend, self.decoding, question.category, self.conversation.until, most, place
            )
            waiting[place] = (prompt, arguments)
        done = len(asked) - len(missing)
        kept = f", {done} of {len(asked)} are there" if done else ""
        self.say(f"{self.model_id}: turn {turn}, {len(waiting)} texts{kept}")
        if short:
            self.say(
                f"{self.model_id}: the context leaves fewer than {self.decoding.max_new_tokens} tokens for the answers "
                f"to turn {turn} of the questions {', '.join(short)}"
            )

        def arrived(place: Place, generated: str) -> None:
            prompt, arguments = waiting[place]
            ledger.add(self._text(place, prompt, generated, arguments["max_gen_toks"]))
            self._append_complete(place.question_id, questions, ledger)

        if waiting:
            write_settings(self.layout.settings(self.model_id), self.settings)
            generate(self.model, waiting, arrived, f"{self.model_id}, turn {turn}")

    def _append_complete(self, question_id: int, questions: Sequence[Question], ledger: TextLedger) -> None:
        own = [question for question in questions if question.question_id == question_id]
        for answer in complete_answers(ledger.texts, own, self.decoding.samples, self.model_id):
            add_answer(self.layout.answers(self.model_id), answer)

    def _text(self, place: Place, prompt: str, generated: str, most: int) -> Text:
        tokens, truncated = self.model.length_of(generated, most)
        return Text(
            **place._asdict(),
            prompt_sha256=prompt_sha256(prompt),
            generated=str(generated),
            answer=self.conversation.clean(generated),
            tokens=tokens,
            truncated=truncated,
            tstamp=round(time.time(), 3),
        )
