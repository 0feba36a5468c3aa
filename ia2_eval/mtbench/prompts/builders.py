"""Prompt sets from an instruction and demonstrations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest
from random import Random

from ia2_eval.errors import UserError
from ia2_eval.mtbench.prompts.prompt_set import (
    URIAL_HEADINGS,
    Demonstration,
    Headings,
    PromptSet,
    Turn,
    block,
    first_line,
)

INSTRUCTION_HEADING = "# Instruction"
_HALF_A_PAIR = re.compile("[\ud800-\udfff]")


def build_prompt_set(
    name: str, instruction: str, demonstrations: Sequence[Demonstration], headings: Headings = URIAL_HEADINGS
) -> PromptSet:
    """A prompt set in URIAL's format.

    The turns of a demonstration are rendered like those of the conversation that follows, so the text itself does not
    say where a demonstration of several turns ends; a set that is to keep this is stored as YAML.

    Raises:
        UserError: the instruction or a demonstration holds a heading of the format at the start of a line, which a
        model would take for one; or half a surrogate pair, which is no character.
    """
    faults = [fault for demonstration in demonstrations if (fault := fault_within(demonstration, headings))]
    if fault := _fault_in([instruction], headings):
        faults.insert(0, f"the instruction {fault}")
    if faults:
        raise UserError(f"the prompt set {name!r} cannot be built: {'; '.join(faults)}")
    return PromptSet(
        name=name,
        text=render(instruction, demonstrations, headings),
        headings=headings,
        instruction=instruction,
        demonstrations=tuple(demonstrations),
    )


def render(instruction: str, demonstrations: Sequence[Demonstration], headings: Headings) -> str:
    """The text of a prompt set in URIAL's format."""
    parts = [f"{INSTRUCTION_HEADING}\n\n{instruction}\n"] if instruction else []
    for demonstration in demonstrations:
        for turn in demonstration.turns:
            parts.append(block(headings.query, turn.query, headings.fence))
            if turn.answer is not None:
                parts.append(block(headings.answer, turn.answer, headings.fence))
        if demonstration.after:
            parts.append(f"{demonstration.after}\n")
    return "\n".join(parts)


def fault_within(demonstration: Demonstration, headings: Headings = URIAL_HEADINGS) -> str | None:
    """Why a demonstration cannot be one: a heading of the format at the start of a line, or what is no character."""
    said = [text for turn in demonstration.turns for text in (turn.query, turn.answer) if text is not None]
    fault = _fault_in(said, headings, demonstration.after)
    return fault and f"the demonstration {first_line(demonstration)!r} {fault}"


def _fault_in(texts: Sequence[str], headings: Headings, after: str = "") -> str | None:
    if half := _HALF_A_PAIR.search("".join((*texts, after))):
        return f"holds {half[0]!r}, half of a surrogate pair, which is no character"
    lines = [line for text in texts for line in text.split("\n")]
    found = (each for each in (headings.query, headings.answer) if any(line.startswith(each) for line in lines))
    heading = next(found, None)
    return heading and f"has a line that begins with {heading!r}"


def plus(base: PromptSet, demonstrations: Sequence[Demonstration]) -> PromptSet:
    """URIAL + k: further demonstrations before those of the set, as in `urial.plus.best_4`."""
    return _with(base, f"{base.name}.plus.{len(demonstrations)}", (*demonstrations, *base.demonstrations))


def with_random(base: PromptSet, pool: Sequence[Demonstration], size: int, seed: int = 0) -> PromptSet:
    """Random-N: `size` demonstrations, those of the set last, and before them a draw from the pool.

    Of one seed, the larger set begins with the draw of the smaller; the published sets are a fresh draw for each size.

    Raises:
        UserError: the set has that many already, or the pool is too small.
    """
    drawn = _draw(base, pool, size - len(base.demonstrations), seed, f"{size} demonstrations")
    return _with(base, f"{base.name}.random.{size}.seed{seed}", (*drawn, *base.demonstrations))


def with_diverse(base: PromptSet, pool: Sequence[Demonstration], size: int, seed: int = 0) -> PromptSet:
    """Diversity-N: `size` demonstrations of the pool instead of the set's own, spread over the pool's sources.

    The sources give one each in turn until there are enough, in the order in which a random draw of the whole pool
    meets them; one that is used up is passed over. Of one seed, the larger set begins with the smaller.

    Raises:
        UserError: the pool does not say where its examples are from, is of one source, or is too small.
    """
    rows = _draw(base, pool, len(_others(base, pool)), seed, "demonstrations")
    sources: dict[str, list[Demonstration]] = {}
    for demonstration in rows:
        sources.setdefault(demonstration.source, []).append(demonstration)
    if unnamed := len(sources.get("", ())):
        raise UserError(
            f"{unnamed} of {len(rows)} examples of the pool do not say where they are from, so there is nothing to "
            "spread over: give each row a `source` or `category`, or draw at random instead"
        )
    if len(sources) < 2:
        raise UserError(f"all examples of the pool are from {', '.join(sources)}: draw at random instead")
    turns = [row for round_ in zip_longest(*sources.values()) for row in round_ if row is not None]
    if not 1 <= size <= len(turns):
        raise UserError(f"{size} demonstrations cannot be drawn from a pool of {len(turns)}")
    return _with(base, f"{base.name}.diversity.{size}.seed{seed}", turns[:size])


ANNOUNCEMENT = "Here are some queries of the kind that you will meet, without their answers:"
BRIDGE = "Conversations with answers follow. Answer only the last query, and think it through step by step."


def with_queries(
    base: PromptSet,
    pool: Sequence[Demonstration],
    size: int,
    seed: int = 0,
    announcement: str = ANNOUNCEMENT,
    bridge: str = BRIDGE,
) -> PromptSet:
    """Unsupervised-N: first queries of `size` pool examples without answers, then the demonstrations of the set.

    Args:
        base: the set.
        pool: whose queries are drawn.
        size: how many.
        seed: of the draw; of one seed, the larger draw begins with the smaller.
        announcement: ends the instruction.
        bridge: stands between the queries and the demonstrations.

    Raises:
        UserError: the pool is too small.
    """
    drawn = _draw(base, pool, size, seed, f"{size} queries")
    queries = [Demonstration(turns=(Turn(query=row.turns[0].query),), source=row.source) for row in drawn]
    queries[-1] = queries[-1].model_copy(update={"after": bridge})
    instruction = "\n\n".join(filter(None, (base.instruction, announcement)))
    name = f"{base.name}.unsupervised.{size}.seed{seed}"
    return build_prompt_set(name, instruction, (*queries, *base.demonstrations), base.headings)


def _draw(
    base: PromptSet, pool: Sequence[Demonstration], count: int, seed: int, what: str
) -> tuple[Demonstration, ...]:
    others = _others(base, pool)
    if count < 1:
        raise UserError(f"{what} cannot be drawn for {base.name!r}, which has {len(base.demonstrations)} of its own")
    if count > len(others):
        raise UserError(f"{what} take {count} from the pool, which has {len(others)} that are not in {base.name!r}")
    Random(seed).shuffle(others)
    return tuple(others[:count])


def _others(base: PromptSet, pool: Sequence[Demonstration]) -> list[Demonstration]:
    """Of the pool, each query once, without the queries of the set."""
    own = {demonstration.turns[0].query.strip() for demonstration in base.demonstrations}
    rows = {row.turns[0].query.strip(): row for row in reversed(pool)}
    return [row for query, row in reversed(rows.items()) if query not in own]


def _with(base: PromptSet, name: str, demonstrations: Sequence[Demonstration]) -> PromptSet:
    return build_prompt_set(name, base.instruction, demonstrations, base.headings)
