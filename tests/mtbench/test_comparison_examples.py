from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ia2_eval.errors import UserError
from ia2_eval.mtbench.comparison.examples import Examples, draw_examples
from ia2_eval.mtbench.comparison.recipe import ComparisonRecipe
from ia2_eval.mtbench.prompts.overlap import turn_key
from ia2_eval.mtbench.prompts.prompt_set import Demonstration
from ia2_eval.mtbench.questions import Question


def examples_of(
    data: Path | str, n: int = 4, held_out: int = 3, dev: int = 2, questions: tuple[Question, ...] = (), **more: Any
) -> Examples:
    content = {"name": "x", "model": "embedded", "data": str(data), "n": n, "seeds": [0], "held_out": held_out}
    recipe = ComparisonRecipe.model_validate(content | {"training": {"dev": dev}})
    return draw_examples(recipe, Path(), more.get("data_dir"), questions, lambda line: None)


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    path = tmp_path / "rows" / "pool.jsonl"
    path.parent.mkdir()
    rows = [{"instruction": f"Say {number}.", "input": "", "output": str(number)} for number in range(12)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def queries(demonstrations: tuple[Demonstration, ...]) -> list[str]:
    return [each.turns[0].query for each in demonstrations]


def test_draws_are_nested_and_differ_by_seed(pool: Path) -> None:
    examples = examples_of(pool)
    assert queries(examples.drawn(0, 2)) == queries(examples.drawn(0, 7))[:2]
    assert queries(examples.drawn(0, 7)) != queries(examples.drawn(1, 7))
    assert len(set(queries(examples.drawn(3, 7)))) == 7


def test_what_is_kept_back_is_in_no_draw(pool: Path) -> None:
    examples = examples_of(pool)
    parts = [queries(part) for part in (examples.pool, examples.dev, examples.held_out)]
    assert [len(part) for part in parts] == [7, 2, 3]
    assert {query for part in parts for query in part} == {f"Say {number}." for number in range(12)}
    assert examples_of(pool, n=7).held_out == examples.held_out  # whatever N is


def test_no_query_is_in_two_parts_or_twice_in_one(pool: Path) -> None:
    rows = [{"instruction": f"say  {number}. ", "input": "", "output": "again"} for number in range(12)]
    turns = [
        {"turns": [{"query": f"Go {number}", "answer": "a"}, {"query": "Say 5.", "answer": "b"}]} for number in (1, 2)
    ]
    pool.write_text(pool.read_text() + "".join(json.dumps(row) + "\n" for row in [*rows, *turns]))
    for held_out in (3, 6, 9):
        examples = examples_of(pool, held_out=held_out, n=1)
        kept = (*examples.dev, *examples.held_out)
        kept_back = [turn.query for each in kept for turn in each.turns]
        drawn = [turn.query for each in examples.pool for turn in each.turns]
        assert not set(drawn) & set(kept_back)
        assert {query for query in (*drawn, *kept_back) if query.startswith("Say")} == {f"Say {n}." for n in range(12)}
        firsts = [turn_key(each.turns[0].query) for part in (examples.pool, kept) for each in part]
        assert len(firsts) == len(set(firsts))


def test_the_fingerprint_is_of_every_part(pool: Path) -> None:
    assert examples_of(pool).sha256 == examples_of(pool, n=2).sha256
    assert examples_of(pool).sha256 != examples_of(pool, dev=3, held_out=2).sha256


def test_too_few(pool: Path) -> None:
    with pytest.raises(UserError, match=r"has 12 examples; N = 8, dev = 2 and held_out = 3 need 13"):
        examples_of(pool, n=8)


def test_a_path_beside_the_recipe_comes_first(pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pool.parent)
    content = {"name": "x", "model": "embedded", "data": "pool.jsonl", "n": 4, "seeds": [0], "held_out": 3}
    recipe = ComparisonRecipe.model_validate(content)
    assert len(draw_examples(recipe, pool.parent, tmp_path, (), print).pool) == 9
    with pytest.raises(UserError, match=r"there is no file 'pool.jsonl' in '.*' or '.*': give --data-dir"):
        draw_examples(recipe, tmp_path / "elsewhere", tmp_path, (), print)


def test_a_path_in_the_local_data(pool: Path) -> None:
    assert examples_of("rows/pool.jsonl", data_dir=pool.parent.parent).sha256 == examples_of(pool).sha256


def test_questions_that_models_are_evaluated_on_are_refused(pool: Path) -> None:
    with pytest.raises(UserError, match=r"'Say 3\."):
        examples_of(pool, questions=(Question(question_id=5, category="math", turns=("Say 3.", "Why?")),))


def test_embedded_rows_keep_their_own_split() -> None:
    examples = examples_of("embedded:arithmetic", held_out=5)
    assert (len(examples.pool), len(examples.dev), len(examples.held_out)) == (600, 2, 5)
    assert not set(queries(examples.pool)) & set(queries(examples.held_out))
    with pytest.raises(UserError, match="Did you mean 'arithmetic'"):
        examples_of("embedded:arithmetics")
