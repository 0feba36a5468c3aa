"""The arms of a comparison, and which of them the model's context has room for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ia2_eval.errors import UserError
from ia2_eval.mtbench.comparison.examples import Examples
from ia2_eval.mtbench.comparison.formats import NOTHING, first_answer, longest_for_teacher, prompt_set, turns_of
from ia2_eval.mtbench.comparison.recipe import TRAINED, WITHOUT_EXAMPLES, ComparisonRecipe
from ia2_eval.mtbench.generation.models import OpenModel
from ia2_eval.mtbench.generation.room import require_room
from ia2_eval.mtbench.prompts.prompt_set import Demonstration, PromptSet
from ia2_eval.mtbench.questions import Question


@dataclass(frozen=True)
class Arm:
    """One method on one draw of examples."""

    method: str
    n: int | None
    """None where no examples are used."""
    seed: int | None

    @property
    def model_id(self) -> str:
        """Such as `icl_n10_s0`."""
        return self.method if self.n is None else f"{self.method}_n{self.n}_s{self.seed}"

    @property
    def trained(self) -> bool:
        return self.method in TRAINED


@dataclass(frozen=True)
class PlannedArm:
    """An arm with all that it needs, or why it cannot be run."""

    arm: Arm
    examples: tuple[Demonstration, ...]
    prompt_set: PromptSet
    prompt_tokens: int | None = None
    """The longest prompt of the last turn, after answers as long as they may be; None where only the endpoint knows."""
    teacher_tokens: int | None = None
    """The longest prompt of the teacher; None where there is none."""
    skipped: str | None = None


def arms_of(recipe: ComparisonRecipe) -> tuple[Arm, ...]:
    """Method by method as the recipe names them; those that others continue before them, so that they are there."""
    order = sorted(recipe.methods, key=lambda method: _phases(method))
    arms: list[Arm] = []
    for method in order:
        if method in WITHOUT_EXAMPLES:
            arms.append(Arm(method, None, None))
        else:
            arms += [Arm(method, n, seed) for n in sorted(recipe.n) for seed in recipe.seeds]
    return tuple(arms)


def plan_arms(
    recipe: ComparisonRecipe, examples: Examples, instruction: str, questions: Sequence[Question], model: OpenModel
) -> tuple[PlannedArm, ...]:
    """All arms; one that does not fit into the context says so in numbers.

    Raises:
        UserError: no arm fits.
    """
    planned = []
    longest = _longest(questions, model)
    for arm in arms_of(recipe):
        drawn = () if arm.n is None or arm.seed is None else examples.drawn(arm.seed, arm.n)
        shown = prompt_set(arm.method, arm.model_id, instruction, drawn)
        planned.append(_measured(PlannedArm(arm, drawn, shown), recipe, examples, instruction, longest, model))
    if all(each.skipped for each in planned):
        raise UserError("\n  ".join(["no arm can be run:", *(f"{p.arm.model_id}: {p.skipped}" for p in planned)]))
    return tuple(planned)


def _longest(questions: Sequence[Question], model: OpenModel) -> tuple[Question, ...]:
    """The questions with the longest first turn and the longest conversation: what fits for them fits for all."""

    def tokens(question: Question, turns: int) -> int:
        return model.count_tokens(NOTHING.prompt(question.turns[:turns], [""] * (turns - 1))) or 0

    first = max(questions, key=lambda question: tokens(question, 1))
    whole = max(questions, key=lambda question: tokens(question, len(question.turns)))
    return (first,) if whole == first else (first, whole)


def _measured(
    planned: PlannedArm,
    recipe: ComparisonRecipe,
    examples: Examples,
    instruction: str,
    questions: Sequence[Question],
    model: OpenModel,
) -> PlannedArm:
    def count(text: str) -> int:
        return model.count_tokens(text) or 0

    try:
        room = require_room(model, planned.prompt_set, questions, recipe.decoding.max_new_tokens)
    except UserError as error:
        return replace(planned, prompt_tokens=count(planned.prompt_set.text), skipped=str(error))
    if room is None:
        return planned
    context, measured = room.max_length, replace(planned, prompt_tokens=room.last_prompt)
    if not room.certain:
        return replace(measured, skipped=room.warning)
    if not planned.arm.trained:
        return measured
    turns = [turn for example in (*planned.examples, *examples.dev) for turn in turns_of(example)]
    longest = max(count(turn.prompt + turn.answer) + 1 for turn in turns)
    if longest > context:
        return replace(measured, skipped=f"an example of {longest} tokens does not fit into the context of {context}")
    if planned.arm.method == "sft":
        return measured
    teacher = longest_for_teacher(planned.examples, examples.dev, instruction, count)
    measured = replace(measured, teacher_tokens=teacher)
    if teacher + recipe.training.target_tokens > context:
        return replace(
            measured,
            skipped=f"the teacher's longest prompt of {teacher} tokens and its response of "
            f"{recipe.training.target_tokens} do not fit into the context of {context}",
        )
    return measured


def fitting_held_out(
    held_out: Sequence[Demonstration], planned: Sequence[PlannedArm], model: OpenModel
) -> tuple[Demonstration, ...]:
    """The held-out examples whose first turn fits behind the prompt set of every arm that is run, so that all arms are
    measured on the same ones; none where the model's tokens are not known."""
    context = model.max_length
    if context is None:
        return ()
    longest = max(model.count_tokens(each.prompt_set.text) or 0 for each in planned if not each.skipped)
    slack = 8  # tokens of the whole may be more than those of its parts

    def tokens(example: Demonstration) -> int:
        first = first_answer(example)
        return model.count_tokens(first.context(NOTHING) + first.answer) or 0

    return tuple(example for example in held_out if longest + tokens(example) + slack <= context)


def _phases(method: str) -> int:
    if method not in TRAINED:
        return 0
    from ia2_training import Method

    return len(Method(method).phases)
