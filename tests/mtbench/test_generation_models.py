"""What belongs to a model that answers: its arguments, its context, and adapters on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ia2_training.adapters import LoraAdapter, PromptAdapter

from ia2_eval.errors import UserError
from ia2_eval.mtbench.bench import Bench
from ia2_eval.mtbench.generation.conversation import ChatConversation
from ia2_eval.mtbench.generation.decoding_settings import DecodingSettings
from ia2_eval.mtbench.generation.models import ModelSettings, OpenModel, open_model
from ia2_eval.mtbench.generation.room import require_chat_room, require_room
from ia2_eval.mtbench.generation.run import generate_answers
from ia2_eval.mtbench.layout import Layout
from ia2_eval.mtbench.prompts.prompt_set import PromptSet
from ia2_eval.mtbench.questions import Question
from tests.adapters.small_adapters import store

EMPTY = PromptSet(name="empty", text="")


def test_an_adapted_model_is_asked_as_its_base_is(tmp_path: Path) -> None:
    model = open_model(ModelSettings(model_args={"max_length": 300}), device="cpu", batch_size=3)
    with model.adapted(store(LoraAdapter(), tmp_path / "lora")) as adapted:
        assert (adapted.max_length, adapted.lm.batch_size) == (model.max_length, 3) == (300, 3)
        assert adapted.adapter is not None and adapted.settings == model.settings
    with model.adapted(store(PromptAdapter(3), tmp_path / "prompt")) as adapted:
        assert adapted.max_length == 297  # virtual tokens are in the context too
    with model.adapted(None) as same:
        assert same is model


def test_what_the_base_read_is_forgotten_before_it_changes(trial_bench: Bench, tmp_path: Path) -> None:
    model = open_model(ModelSettings(), device="cpu")
    shown = PromptSet(name="shown", text="# Query:\n```\n1 + 1\n```\n\n# Answer:\n```\n2\n```\n\n" * 8)
    decoding = DecodingSettings(max_new_tokens=3)
    generate_answers(model, trial_bench.questions[:2], shown, decoding, Layout(tmp_path), "m")
    assert model.lm._kept is not None
    assert model.transformer[0] is model.lm.model and model.lm._kept is None


def test_a_chat_prompt_that_leaves_no_room_is_refused(embedded_model: OpenModel) -> None:
    class Template:
        def apply_chat_template(self, history: list[dict[str, str]]) -> str:
            return "".join(message["content"] for message in history)

    conversation = ChatConversation(Template())
    questions = [Question(question_id=number, category="math", turns=("1 + " * number, "2")) for number in (1, 9)]
    tokens = embedded_model.count_tokens("1 + " * 9) or 0
    context = embedded_model.max_length or 0
    require_chat_room(embedded_model, conversation, questions, context - tokens)
    with pytest.raises(UserError, match=rf"question 9 does not fit: its prompt has {tokens} tokens .* {context} in"):
        require_chat_room(embedded_model, conversation, questions, context - tokens + 1)


def test_room_is_for_all_turns(embedded_model: OpenModel) -> None:
    question = Question(question_id=1, category="math", turns=("1 + 1", "2 + 2", "3 + 3"))
    found = require_room(embedded_model, EMPTY, [question], 100)
    tokens = embedded_model.count_tokens(EMPTY.prompt(question.turns, ["", ""])) or 0
    assert found is not None and found.last_prompt == tokens + 2 * 100


def test_openai_samples_from_some_models_whatever_is_asked(embedded_model: OpenModel, trial_bench: Bench) -> None:
    from ia2_eval.mtbench.generation.backends import get_backend

    settings = ModelSettings(backend="openai-chat-completions", base="gpt-3.5-turbo", chat=True)
    model = replace(embedded_model, settings=settings, backend=get_backend(settings.backend))
    with pytest.raises(UserError, match=r"'gpt-3.5-turbo' of OpenAI at temperature 1.*local-chat-completions"):
        generate_answers(model, trial_bench.questions[:1], None, DecodingSettings(), Layout(Path("unused")), "m")
