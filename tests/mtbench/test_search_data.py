"""The pool, the dev set and the held-out set have nothing in common, with MT-Bench neither."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ia2_eval.errors import UserError
from ia2_eval.mtbench.prompts.builders import build_prompt_set
from ia2_eval.mtbench.prompts.overlap import keys_of
from ia2_eval.mtbench.prompts.prompt_set import Demonstration, PromptSet, Turn
from ia2_eval.mtbench.search import data as search_data
from ia2_eval.mtbench.search.data import SearchData
from ia2_eval.mtbench.search.recipe import SearchRecipe

NONE = PromptSet(name="none", text="")


def recipe(**changes: Any) -> SearchRecipe:
    content = {
        "name": "small",
        "prompt_set": "none",
        "pool": {"path": "rows.jsonl", "limit": 4},
        "dev": {"path": "rows.jsonl", "size": 3},
        "held_out": 2,
        "scorer": {"kind": "log_likelihood"},
    }
    return SearchRecipe.model_validate(content | changes)


def draw_data(
    asked: SearchRecipe, beside: Path, data_dir: Path | None, start: PromptSet, evaluated: frozenset[str] = frozenset()
) -> SearchData:
    return search_data.draw_data(asked, beside, data_dir, start, evaluated)


def one_turn(query: str, answer: str = "yes") -> Demonstration:
    return Demonstration(turns=(Turn(query=query, answer=answer),))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    rows = [{"instruction": f"query {i}", "input": "", "output": f"answer {i}"} for i in range(9)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def queries(data: SearchData) -> list[str]:
    return [turn.query for part in (data.pool.values(), data.dev, data.held_out) for row in part for turn in row.turns]


def test_one_file_is_cut_into_three_sets(directory: Path) -> None:
    data = draw_data(recipe(), directory, None, NONE)
    assert [len(data.pool), len(data.dev), len(data.held_out)] == [4, 3, 2]
    assert sorted(queries(data)) == [f"query {i}" for i in range(9)]
    assert all(demonstration.turns[0].query == f"query {row - 1}" for row, demonstration in data.pool.items())
    assert draw_data(recipe(), directory, None, NONE) == data
    others = draw_data(recipe(seed=1), directory, None, NONE)
    assert others.pool == data.pool and others.dev != data.dev
    assert (
        draw_data(recipe(pool={"path": "rows.jsonl", "limit": 4, "seed": 1}), directory, None, NONE).pool != data.pool
    )


def test_the_data_directory_comes_second(directory: Path, tmp_path: Path) -> None:
    beside = tmp_path / "recipes"
    beside.mkdir()
    assert draw_data(recipe(), beside, directory, NONE) == draw_data(recipe(), directory, None, NONE)
    with pytest.raises(UserError, match=r"no file 'rows.jsonl' in '.*recipes' or '.*other': give --data-dir"):
        draw_data(recipe(), beside, tmp_path / "other", NONE)


def test_too_few_rows(directory: Path) -> None:
    with pytest.raises(UserError, match=r"has 5 usable rows besides the pool's; dev.size and held_out ask for 9"):
        draw_data(recipe(dev={"path": "rows.jsonl", "size": 7}), directory, None, NONE)
    with pytest.raises(UserError, match=r"pool.limit is 10, but rows.jsonl has 9 usable rows"):
        draw_data(recipe(pool={"path": "rows.jsonl", "limit": 10}), directory, None, NONE)


def test_queries_that_are_in_two_sets(directory: Path) -> None:
    rows = [
        {"turns": [{"query": f"other {i}", "answer": "a"}, {"query": "  QUERY 3", "answer": "b"}]} for i in range(5)
    ]
    (directory / "dev.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = recipe(pool={"path": "rows.jsonl"}, dev={"path": "dev.jsonl", "size": 3})
    with pytest.raises(UserError, match=r"dev.jsonl: 'other \d' is in the pool") as raised:
        draw_data(asked, directory, None, NONE)
    assert len(str(raised.value).splitlines()) == 6  # all of them, and a heading
    start = build_prompt_set("start", "", [one_turn("Query 5")])
    drawn_there = recipe(pool={"path": "rows.jsonl", "limit": 1}, dev={"path": "rows.jsonl", "size": 6})
    with pytest.raises(UserError, match=r"rows.jsonl: 'query 5' is in the starting set"):
        draw_data(drawn_there, directory, None, start)
    tried = recipe(pool={"path": "rows.jsonl"}, dev={"path": "embedded:mood/test", "size": 3})
    with pytest.raises(UserError, match=r"rows.jsonl: 'query 5' is in the starting set"):
        draw_data(tried, directory, None, start)


def test_questions_of_the_bench_are_refused_everywhere(directory: Path) -> None:
    data = draw_data(recipe(), directory, None, NONE)
    for part in (list(data.pool.values()), data.dev, data.held_out):
        query = part[0].turns[0].query
        with pytest.raises(UserError, match=f"{query}' is what models are evaluated on"):
            draw_data(recipe(), directory, None, NONE, keys_of([one_turn(query.upper())]))


def test_a_judge_is_shown_two_turns_at_most(directory: Path) -> None:
    long = {"turns": [{"query": f"turn {i}", "answer": "a"} for i in range(3)]}
    with (directory / "rows.jsonl").open("a") as file:
        file.write(json.dumps(long) + "\n")
    asked = {"pool": {"path": "rows.jsonl", "limit": 2}, "dev": {"path": "rows.jsonl", "size": 5}}
    judged = recipe(**asked, scorer={"kind": "judge", "judge": "trial", "bench": "trial"})
    assert all(len(item.turns) == 1 for item in draw_data(judged, directory, None, NONE).dev)


def test_the_synthetic_data_sets_are_always_there(tmp_path: Path) -> None:
    asked = recipe(
        pool={"path": "embedded:arithmetic/train", "limit": 5}, dev={"path": "embedded:mood/test", "size": 3}
    )
    data = draw_data(asked, tmp_path, None, NONE)
    assert all(" more" in row.turns[0].query and "####" in (row.turns[0].answer or "") for row in data.pool.values())
    assert {item.turns[0].answer for item in (*data.dev, *data.held_out)} <= {"0", "1"}
    with pytest.raises(UserError, match=r"no synthetic data set 'mod'. Did you mean 'mood'\?"):
        draw_data(recipe(pool={"path": "embedded:mod/train"}), tmp_path, None, NONE)
    with pytest.raises(UserError, match="must end in /train or /test, such as embedded:mood/train"):
        draw_data(recipe(pool={"path": "embedded:mood"}), tmp_path, None, NONE)
