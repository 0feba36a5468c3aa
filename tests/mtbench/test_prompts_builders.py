from __future__ import annotations

from collections import Counter

import pytest

from ia2_eval.errors import UserError
from ia2_eval.mtbench.prompts.ablations import with_answers
from ia2_eval.mtbench.prompts.builders import (
    BRIDGE,
    build_prompt_set,
    plus,
    with_diverse,
    with_queries,
    with_random,
)
from ia2_eval.mtbench.prompts.prompt_set import Demonstration, PromptSet, Turn
from ia2_eval.mtbench.prompts.urial_format import is_regular, parse_prompt


def example(name: str, source: str = "") -> Demonstration:
    return Demonstration(turns=(Turn(query=f"query {name}", answer=f"answer {name}"),), source=source)


def names(prompt_set: PromptSet) -> list[str]:
    return [demonstration.turns[0].query.removeprefix("query ") for demonstration in prompt_set.demonstrations]


def answers(prompt_set: PromptSet) -> list[str | None]:
    return [turn.answer for demonstration in prompt_set.demonstrations for turn in demonstration.turns]


BASE = build_prompt_set("base", "Be kind.", [example("x"), example("y"), example("z")])
POOL = [example(str(number), source="abc"[number % 3]) for number in range(12)]


def test_a_heading_inside_a_demonstration_is_refused_by_name() -> None:
    bad = Demonstration(turns=(Turn(query="Hi", answer="Hello\n# Query: again"),))
    with pytest.raises(UserError, match="the demonstration 'Hi' has a line that begins with '# Query:'"):
        build_prompt_set("set", "", [example("x"), bad])
    harmless = Turn(query="Hi", answer="a # Query: in a line\n## Query:\n# Query the database")
    assert build_prompt_set("set", "", [Demonstration(turns=(harmless,))]).text.count("# Query") == 4


def test_half_a_character_is_refused() -> None:
    half = Demonstration(turns=(Turn(query="Hi", answer="\ud83d"),))
    after = Demonstration(turns=(Turn(query="Ho"),), after="\udc00")
    for instruction, rows, said in (
        ("", [half], r"the demonstration 'Hi' holds '\\ud83d', half of a surrogate pair"),
        ("", [after], r"the demonstration 'Ho' holds '\\udc00'"),
        ("a\ud83d", [], r"the instruction holds '\\ud83d'"),
    ):
        with pytest.raises(UserError, match=said):
            build_prompt_set("set", instruction, rows)


def test_further_demonstrations_come_first() -> None:
    built = plus(BASE, POOL[:2])
    assert names(built) == ["0", "1", "x", "y", "z"]
    assert (built.name, built.instruction) == ("base.plus.2", "Be kind.")
    assert built.text.endswith(BASE.text.partition("\n\n# Query")[2]) and is_regular(built)


def test_random_sets_are_nested_and_end_with_the_own_ones() -> None:
    sizes = (4, 5, 9, 15)
    built = {size: names(with_random(BASE, POOL, size, seed=1)) for size in sizes}
    for size in sizes:
        assert len(built[size]) == len(set(built[size])) == size and built[size][-3:] == ["x", "y", "z"]
        assert built[15][: size - 3] == built[size][:-3]
    assert with_random(BASE, POOL, 9, seed=1) == with_random(BASE, POOL, 9, seed=1)
    assert names(with_random(BASE, POOL, 9, seed=2)) != built[9]


def test_random_draws_leave_out_the_own_ones_and_repetitions() -> None:
    again = Demonstration(turns=(Turn(query=" query 0", answer="another"),))
    pool = [POOL[0], again, example("x"), POOL[1]]
    built = with_random(BASE, pool, 5)
    assert set(names(built)) == {"0", "1", "x", "y", "z"} and "another" not in answers(built)
    with pytest.raises(UserError, match=r"6 demonstrations take 3 from the pool, which has 2 that are not in 'base'"):
        with_random(BASE, pool, 6)
    with pytest.raises(UserError, match="3 demonstrations cannot be drawn for 'base', which has 3 of its own"):
        with_random(BASE, pool, 3)


def test_every_draw_is_about_equally_likely() -> None:
    first = Counter(names(with_random(BASE, POOL, 4, seed))[0] for seed in range(600))
    assert len(first) == 12 and all(25 <= count <= 80 for count in first.values())  # 50 expected, SD 6.8


def test_diverse_sets_are_spread_over_the_sources() -> None:
    pool = [*POOL, *(example(f"d{number}", source="d") for number in range(40))]
    for size in (4, 8, 10):
        sources = Counter(row.source for row in with_diverse(BASE, pool, size, seed=3).demonstrations)
        assert set(sources) == set("abcd") and max(sources.values()) - min(sources.values()) <= 1
    built = with_diverse(BASE, pool, 20, seed=3)
    assert Counter(row.source for row in built.demonstrations) == {"a": 4, "b": 4, "c": 4, "d": 8}
    assert names(built)[:10] == names(with_diverse(BASE, pool, 10, seed=3))
    assert built.instruction == "Be kind." and not set(names(built)) & set("xyz")


def test_a_pool_without_sources_is_refused() -> None:
    with pytest.raises(UserError, match="1 of 13 examples of the pool do not say where they are from"):
        with_diverse(BASE, [*POOL, example("q")], 3)
    with pytest.raises(UserError, match="all examples of the pool are from a"):
        with_diverse(BASE, POOL[::3], 3)
    with pytest.raises(UserError, match="13 demonstrations cannot be drawn from a pool of 12"):
        with_diverse(BASE, POOL, 13)


def test_queries_without_answers_come_before_the_demonstrations() -> None:
    built = with_queries(BASE, POOL, 4, seed=1, announcement="Some queries:")
    assert answers(built) == [None] * 4 + ["answer x", "answer y", "answer z"]
    assert [row.after for row in built.demonstrations] == ["", "", "", BRIDGE, "", "", ""]
    assert built.text.startswith("# Instruction\n\nBe kind.\n\nSome queries:\n\n# Query:\n```\nquery ")
    assert f"\n```\n\n{BRIDGE}\n\n# Query:\n```\nquery x\n```\n\n# Answer:\n" in built.text
    read = parse_prompt(built.name, built.text)
    assert names(read) == names(built) and answers(read) == answers(built)
    assert names(with_queries(BASE, POOL, 6, seed=1))[:4] == names(built)[:4]
    with pytest.raises(UserError, match="0 queries cannot be drawn"):
        with_queries(BASE, POOL, 0)


def test_shuffled_answers_leave_none_where_it_was() -> None:
    assert answers(with_answers(BASE, "shuffled")) == ["answer y", "answer z", "answer x"]
    same = [Demonstration(turns=(Turn(query=str(number), answer=answer),)) for number, answer in enumerate("aabb")]
    assert answers(with_answers(build_prompt_set("set", "", same), "shuffled")) == ["b", "b", "a", "a"]
    with pytest.raises(UserError, match="the 3 answers of 'set' cannot be shuffled so that none stays"):
        with_answers(build_prompt_set("set", "", same[:3]), "shuffled")


def test_random_answers_are_of_other_examples() -> None:
    right = Demonstration(turns=(Turn(query="query y", answer="another right answer"),))
    pool = [*POOL[:3], example("x"), right, Demonstration(turns=(Turn(query="another", answer="answer y"),))]
    built = with_answers(BASE, "random", pool, seed=5)
    assert names(built) == ["x", "y", "z"] and set(answers(built)) == {"answer 0", "answer 1", "answer 2"}
    assert built == with_answers(BASE, "random", pool, seed=5)
    orders = {tuple(answers(with_answers(BASE, "random", pool, seed))) for seed in range(40)}
    assert len(orders) == 6
    with pytest.raises(UserError, match="random answers for 'base' take 3 of a pool, which has 2 others"):
        with_answers(BASE, "random", pool[1:])


def test_no_answers_and_the_own_ones() -> None:
    assert with_answers(BASE, "correct") is BASE
    built = with_answers(BASE, "none")
    assert names(built) == ["x", "y", "z"] and "# Answer" not in built.text
    with pytest.raises(UserError, match="has no answers that could be exchanged"):
        with_answers(built, "shuffled")


def test_turns_of_a_conversation_exchange_their_answers_too() -> None:
    turns = (Turn(query="1", answer="a"), Turn(query="2"), Turn(query="3", answer="b"))
    talk = build_prompt_set("talk", "", [Demonstration(turns=turns), example("x")])
    assert answers(with_answers(talk, "shuffled")) == ["b", None, "answer x", "a"]
    assert answers(with_answers(talk, "none")) == [None] * 4
