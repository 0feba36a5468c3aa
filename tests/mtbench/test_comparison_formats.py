"""What teacher, student and in-context learning read."""

from __future__ import annotations

import pytest

from ia2_eval.mtbench.comparison.formats import (
    HEADINGS,
    NOTHING,
    answer_end,
    closed,
    dev_examples,
    longest_for_teacher,
    prompt_set,
    training_examples,
)
from ia2_eval.mtbench.generation.conversation import UrialConversation
from ia2_eval.mtbench.generation.models import OpenModel
from ia2_eval.mtbench.prompts.builders import build_prompt_set
from ia2_eval.mtbench.prompts.prompt_set import Demonstration, Turn


def demonstration(*said: str) -> Demonstration:
    pairs = zip(said[::2], said[1::2], strict=True)
    return Demonstration(turns=tuple(Turn(query=query, answer=answer) for query, answer in pairs))


ONE, TWO = demonstration("Hello?", "Hi."), demonstration("Two?", "2\n```python\nx\n```")
MULTI = demonstration("First?", "One.", "Second?", "Two.")
SHOWN = (ONE, MULTI, TWO)


@pytest.mark.parametrize("instruction", ["", "Be kind."])
@pytest.mark.parametrize("shown", [SHOWN, (ONE,)], ids=["three", "alone"])
def test_the_teacher_reads_what_in_context_learning_reads(instruction: str, shown: tuple[Demonstration, ...]) -> None:
    expected = []
    for place, example in enumerate(shown):
        icl = prompt_set("icl", "x", instruction, [each for i, each in enumerate(shown) if i != place])
        queries, answers = ([getattr(turn, part) for turn in example.turns] for part in ("query", "answer"))
        expected += [icl.prompt(queries[: turn + 1], answers[:turn]) for turn in range(len(queries))]
    assert [example.context for example in training_examples(shown, instruction)] == expected


def test_dev_examples_are_taught_with_all_demonstrations() -> None:
    (dev,) = dev_examples([demonstration("New?", "Yes.")], SHOWN, "Be kind.")
    assert dev.context == prompt_set("icl", "x", "Be kind.", SHOWN).prompt(["New?"])


def test_the_longest_text_of_the_teacher() -> None:
    dev = [demonstration("a " * n, "b") for n in (2, 9, 4)]
    for some in ([], dev):
        texts = [*training_examples(SHOWN, "Be kind."), *dev_examples(some, SHOWN, "Be kind.")]
        assert longest_for_teacher(SHOWN, some, "Be kind.", len) == max(len(each.context) for each in texts)


def test_each_turn_is_trained_on_after_the_turns_before() -> None:
    first, second = training_examples([MULTI], "Be kind.")
    assert first.prompt == "# Query:\n```\nFirst?\n```\n\n# Answer:\n```\n"
    assert first.answer == "One.\n```"
    assert second.prompt == first.prompt + "One.\n```\n\n# Query:\n```\nSecond?\n```\n\n# Answer:\n```\n"
    assert second.answer == "Two.\n```"


def test_prompt_and_answer_are_the_rendered_demonstration() -> None:
    """Fine-tuning sees the very bytes that in-context learning sees."""
    for example in (ONE, TWO, MULTI):
        last = training_examples([example], "")[-1]
        assert last.prompt + last.answer + "\n" == build_prompt_set("x", "", [example], HEADINGS).text


def test_methods_without_examples() -> None:
    assert prompt_set("instruction", "x", "Be kind.", ()).text == "# Instruction\n\nBe kind.\n"
    for method in ("no_icl", "sft", "ia2"):
        assert prompt_set(method, "x", "Be kind.", SHOWN) == NOTHING


ANSWERS = ["Hi.", "", "Code:\n```python\nx = 1\n\n\ny\n```\n\nThat is all.", "a\n\nb", "```\nplain block\n```\nend"]


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_response_ends_behind_its_closing_fence(answer: str) -> None:
    text = f"{closed(answer)}\n\n# Query:\n```\nWhat?\n```\n"
    ends = [answer_end(text[:length]) for length in range(len(text) + 1)]
    found = [end for end in ends if end is not None]
    assert set(found) == {len(closed(answer))}  # once it is known it stays
    assert ends[-1] == len(closed(answer))
    assert UrialConversation(NOTHING).clean(text[: found[0]]) == answer.strip()


def test_a_response_without_closing_fence_has_no_end() -> None:
    assert answer_end("Hi.\n\n# Query:\n\n") is None
    assert answer_end("Hi.\n```") is None  # it may become ```python


def test_a_trained_answer_ends_with_the_end_of_sequence(embedded_model: OpenModel) -> None:
    from ia2_training.batches import encode_answer

    _, tokenizer = embedded_model.transformer
    (example,) = training_examples([ONE], "")
    ids = encode_answer(tokenizer, example.answer, max_new_tokens=16)
    assert tokenizer.decode(ids[:-1]) == "Hi.\n```" and ids[-1] == tokenizer.eos_token_id
