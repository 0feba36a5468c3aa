"""The 63 real files, where they are beside the checkout; each of their irregularities is in test_prompts_format.py."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from ia2_eval.errors import UserError
from ia2_eval.mtbench.prompts.ablations import with_answers
from ia2_eval.mtbench.prompts.builders import build_prompt_set, plus
from ia2_eval.mtbench.prompts.overlap import refuse_questions
from ia2_eval.mtbench.prompts.prompt_set import Demonstration, Headings, PromptSet, Turn
from ia2_eval.mtbench.prompts.sources import load_prompt_set, local_files
from ia2_eval.mtbench.prompts.typed_format import as_typed, parse_typed
from ia2_eval.mtbench.prompts.urial_files import pinned_files
from ia2_eval.mtbench.prompts.urial_format import is_regular
from ia2_eval.mtbench.questions import load_questions

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not (SHARED / "urial_prompts").is_dir(), reason="no real files beside the checkout")

SIZES = (5, 10, 20, 30, 40, 50)
IRREGULAR_FENCED = {
    *("basic_icl", "inst_1k", "inst_1k_v2", "inst_1k_v3", "inst_1k_v3.help", "inst_1shot", "inst_2k", "inst_help"),
    *("inst_mini", "inst_1k_v4"),
}
UNFENCED = {
    *("inst_help_mini_yi", "inst_help_v2", "inst_help_v2_yi", "inst_help_v3", "inst_help_v3-1k", "inst_help_v4"),
    *("inst_help_v5-1k", "inst_help_v5-2k", "inst_help_v6-1k", "inst_help_v6-2k"),
}
DEMONSTRATIONS = {
    "urial": 3,
    "urial.plus.best_4": 4,
    "urial.plus.best_4&5": 5,
    "urial.plus.best_4&5&6": 6,
    **{f"greedy/urial.greedy.{size}": size for size in SIZES},
    **{f"random/urial.random.{size}": size for size in SIZES},
    **{f"diversity/openhermes-{size}": size for size in (3, *SIZES)},
    **{f"unsupervised/urial.unsupervised.{size}": size + 3 for size in (3, *SIZES)},
    **{
        f"qa_matching/{family}/{family}.{answers}": count
        for family, count in (("urial", 3), ("urial_plus_3", 6))
        for answers in ("correct", "circular_shift", "id.random_answer", "ood.random_answer", "no_answer")
    },
    **{f"Re-Align/{name}": 3 for name in ("basic_icl", "inst_1k", "inst_1k_v2", "inst_1k_v3", "inst_1k_v3.help")},
    **{f"Re-Align/{name}": 3 for name in ("inst_1k_v4", "inst_1k_v4.help", "inst_help_mini_yi", "inst_mini")},
    **{f"Re-Align/{name}": 3 for name in ("inst_help_v5-1k", "inst_help_v6-1k")},
    **{f"Re-Align/{name}": 5 for name in ("inst_help", "inst_help_v2", "inst_help_v2_yi")},
    **{f"Re-Align/{name}": 5 for name in ("inst_help_v3", "inst_help_v4")},
    **{f"Re-Align/{name}": 6 for name in ("inst_help_v5-2k", "inst_help_v6-2k")},
    **{f"Re-Align/{name}": 8 for name in ("inst_2k", "inst_2k_v4")},
    "Re-Align/inst_1shot": 1,
    "Re-Align/inst_help_v3-1k": 2,
    "Re-Align/inst_only": 0,
}


@cache
def sets() -> dict[str, PromptSet]:
    return {name: load_prompt_set(name, SHARED) for name in local_files(SHARED)}


def queries(name: str) -> list[str]:
    return [demonstration.turns[0].query for demonstration in sets()[name].demonstrations]


def answers(prompt_set: PromptSet) -> list[str | None]:
    return [demonstration.turns[0].answer for demonstration in prompt_set.demonstrations]


def test_every_file_is_kept_byte_for_byte() -> None:
    files = local_files(SHARED)
    assert len(files) == 63 and set(files) == set(pinned_files())
    for name, path in files.items():
        assert sets()[name].text.encode() == path.read_bytes(), name


def test_43_files_are_their_rendered_parts() -> None:
    regular = {name for name, prompt_set in sets().items() if is_regular(prompt_set)}
    assert len(regular) == 43
    assert {name.removeprefix("Re-Align/") for name in set(sets()) - regular} == IRREGULAR_FENCED | UNFENCED
    for name in regular:
        parts = sets()[name]
        assert build_prompt_set(name, parts.instruction, parts.demonstrations, parts.headings) == parts


def test_demonstrations_of_each_file() -> None:
    assert {name: len(prompt_set.demonstrations) for name, prompt_set in sets().items()} == DEMONSTRATIONS


def test_headings_of_each_file() -> None:
    headings = Counter((prompt_set.headings.query, prompt_set.headings.fence) for prompt_set in sets().values())
    assert headings == {("# Query:", "```"): 53, ("# Query:", ""): 1, ("# User:", ""): 6, ("User:", ""): 3}
    assert {name for name in sets() if sets()[name].headings.fence == ""} == {f"Re-Align/{name}" for name in UNFENCED}


def test_published_identities() -> None:
    text = {name: prompt_set.text for name, prompt_set in sets().items()}
    assert text["urial"] == text["qa_matching/urial/urial.correct"] == text["Re-Align/inst_1k_v4.help"]
    assert text["urial.plus.best_4&5&6"] == text["qa_matching/urial_plus_3/urial_plus_3.correct"]
    instructions = Counter(sets()[name].instruction for name in sets() if not name.startswith("Re-Align/"))
    assert sorted(instructions.values()) == [7, 33]  # the seven are the unsupervised ones
    assert len(sets()["urial"].text.encode()) == 5502


def test_published_nesting() -> None:
    own = queries("urial")
    greedy = {size: queries(f"greedy/urial.greedy.{size}") for size in SIZES}
    for size in SIZES:
        assert greedy[size][-3:] == own and greedy[50][: size - 3] == greedy[size][:-3]
        assert queries(f"random/urial.random.{size}")[-3:] == own
        assert not set(own) & set(queries(f"diversity/openhermes-{size}"))
    assert greedy[5] != queries("urial.plus.best_4&5") and greedy[5][0] == queries("urial.plus.best_4&5")[0]
    drawn = {size: set(queries(f"random/urial.random.{size}")[:-3]) for size in SIZES}
    assert not drawn[5] <= drawn[10] and len(set().union(*drawn.values())) == 137


def test_published_ablations() -> None:
    urial, ours = sets()["urial"], with_answers(sets()["urial"], "shuffled")
    published = sets()["qa_matching/urial/urial.circular_shift"]
    own = answers(urial)
    rotations = ([*own[1:], *own[:1]], [*own[2:], *own[:2]])
    assert answers(published) in rotations and answers(ours) in rotations
    assert queries("qa_matching/urial/urial.circular_shift") == queries("urial")
    assert with_answers(urial, "none").text == sets()["qa_matching/urial/urial.no_answer"].text
    best = sets()["urial.plus.best_4&5&6"]
    assert with_answers(best, "none").text == sets()["qa_matching/urial_plus_3/urial_plus_3.no_answer"].text
    assert plus(urial, best.demonstrations[:3]).text == best.text


def test_published_queries_without_answers() -> None:
    for size, shared in ((3, 3), (5, 5), (10, 1), (20, 0), (30, 30), (40, 40), (50, 50)):
        name = f"unsupervised/urial.unsupervised.{size}"
        demonstrations = sets()[name].demonstrations
        assert [row.turns[0].answer is None for row in demonstrations] == [True] * size + [False] * 3
        assert [place for place, row in enumerate(demonstrations) if row.after] == [size - 1]
        assert demonstrations[size - 1].after.endswith("thinking step by step.")
        of_diversity = set(queries(f"diversity/openhermes-{size}"))
        assert len(of_diversity & set(queries(name)[:size])) == shared


def test_no_demonstration_asks_a_question_of_mt_bench() -> None:
    questions = load_questions(SHARED / "mt_bench" / "question.jsonl")
    published: list[Demonstration] = [row for prompt_set in sets().values() for row in prompt_set.demonstrations]
    everything = [*published, *load_prompt_set("default").demonstrations]
    asked = {turn for question in questions for turn in question.turns}
    assert len(asked) == 160 and asked.isdisjoint(turn.query for row in everything for turn in row.turns)
    refuse_questions(everything, questions)
    planted = Demonstration(turns=(Turn(query=questions[3].turns[1], answer="a"),))
    with pytest.raises(UserError):
        refuse_questions([*everything, planted], questions)


def test_the_prompt_of_turn_two() -> None:
    prompt = sets()["urial"].prompt(["Q1", "Q2"], ["A1"])
    live = "\n# Query:\n```\nQ1\n```\n\n# Answer:\n```\nA1\n```\n\n# Query:\n```\nQ2\n```\n\n# Answer:\n```\n"
    assert prompt.endswith(f"fryer model.\n```\n{live}")


def test_typed_files_of_regular_sets_give_the_same_prompt() -> None:
    for name in ("urial", "urial.plus.best_4", "unsupervised/urial.unsupervised.10", "diversity/openhermes-10"):
        assert parse_typed(name, as_typed(sets()[name])) == sets()[name]
    unfenced = sets()["Re-Align/inst_help_v5-1k"]
    assert unfenced.headings == Headings(query="# User:", answer="# Assistant:", fence="")
    assert parse_typed("x", as_typed(unfenced)).demonstrations == unfenced.demonstrations
