"""The texts of a comparison: what is shown, what is trained on, and where an answer ends.

`icl` reads the instruction, the N examples as demonstrations and the conversation, in URIAL's headings and fences. A
trained model reads the conversation under the same headings and nothing before it, in training and in evaluation; the
base model so is `no_icl`. A training example is one turn of an example, after the turns before it:

    # Query:            prompt, up to the opening fence of the answer
    ```
    ...
    ```

    # Answer:
    ```
    ...                 answer: the text, and the closing fence on a line of its own;
    ```                 then the end-of-sequence token

A trained model so ends its answer itself; a model that reads demonstrations goes on to the next heading, which is where
generation stops. Either way the text after the closing fence is cut off.

The teacher of IA2 reads what `icl` reads with the other N - 1 examples: instruction and demonstrations are one text,
which `TrainingExample.context` puts before the prompt with a blank line between them, as the format has it. Its
response is cut behind the closing fence, and ends with the end-of-sequence token there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ia2_eval.mtbench.answer_likelihoods import Given
from ia2_eval.mtbench.generation.fenced_answer import fenced_answer
from ia2_eval.mtbench.prompts.builders import build_prompt_set
from ia2_eval.mtbench.prompts.prompt_set import Demonstration, Headings, PromptSet

if TYPE_CHECKING:
    from ia2_training import TrainingExample

HEADINGS = Headings()
NOTHING = PromptSet(name="none", text="", headings=HEADINGS)
"""Nothing before the conversation."""
ANSWER_END = "closing fence of URIAL's format, version 1"
"""Names `answer_end`; another one with every change of it."""


def prompt_set(method: str, name: str, instruction: str, examples: Sequence[Demonstration]) -> PromptSet:
    """What stands before a conversation in an arm.

    Raises:
        UserError: an example cannot be a demonstration.
    """
    if method == "icl":
        return build_prompt_set(name, instruction, examples, HEADINGS)
    return build_prompt_set("instruction", instruction, (), HEADINGS) if method == "instruction" else NOTHING


def training_examples(examples: Sequence[Demonstration], instruction: str) -> list[TrainingExample]:
    """One for each turn of each example; the teacher is shown the other examples."""
    return [
        pair
        for place, example in enumerate(examples)
        for pair in turns_of(example, instruction, (*examples[:place], *examples[place + 1 :]))
    ]


def dev_examples(
    dev: Sequence[Demonstration], examples: Sequence[Demonstration], instruction: str
) -> list[TrainingExample]:
    """One for each turn of each dev example; the teacher is shown all N examples."""
    return [pair for example in dev for pair in turns_of(example, instruction, examples)]


def turns_of(
    example: Demonstration, instruction: str = "", shown: Sequence[Demonstration] = ()
) -> list[TrainingExample]:
    """One for each turn, with what the teacher is shown."""
    from ia2_training import TrainingExample

    text = build_prompt_set("teacher", instruction, shown, HEADINGS).text
    demonstrations = (text.removesuffix("\n"),) if text else ()
    queries = [turn.query for turn in example.turns]
    answers = [turn.answer or "" for turn in example.turns]
    return [
        TrainingExample(NOTHING.prompt(queries[: last + 1], answers[:last]), closed(answers[last]), demonstrations)
        for last in range(len(queries))
    ]


def longest_for_teacher(
    examples: Sequence[Demonstration], dev: Sequence[Demonstration], instruction: str, count: Callable[[str], int]
) -> int:
    """Tokens of the longest text that the teacher reads.

    Each training text has all N examples but the last answer of one, the longest therefore all but the shortest such
    answer; rendering and counting all N would take N squared.
    """
    shortest = min(range(len(examples)), key=lambda place: count(examples[place].turns[-1].answer or ""))
    others = (*examples[:shortest], *examples[shortest + 1 :])
    contexts = [turns_of(examples[shortest], instruction, others)[-1].context]
    if dev:
        longest = max(dev, key=lambda example: count(turns_of(example)[-1].prompt))
        contexts.append(turns_of(longest, instruction, examples)[-1].context)
    return max(map(count, contexts))


def first_answer(example: Demonstration) -> Given:
    """The answer to the first turn, up to its closing fence."""
    turn = example.turns[0]
    return Given((turn.query,), (), closed(turn.answer or ""))


def closed(answer: str) -> str:
    """An answer with its closing fence."""
    return f"{answer}\n{HEADINGS.fence}"


def answer_end(text: str) -> int | None:
    """Index just past the closing fence of an answer; None while it may still turn out to be that of a code block."""
    answer = fenced_answer(text, HEADINGS.fence)
    if answer == text:
        return None
    end = text.index(HEADINGS.fence, len(answer)) + len(HEADINGS.fence)
    return end if text.count("\n", end) >= 2 else None
