"""Recipes of demonstration searches."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ia2_eval.errors import UserError
from ia2_eval.mtbench.generation.decoding_settings import PRESETS
from ia2_eval.mtbench.search.recipe import SearchRecipe, load_search_recipe

SMALL = """
name: small
prompt_set: none
pool: {path: "embedded:mood/train", limit: 6}
dev: {path: "embedded:mood/test", size: 8}
held_out: 8
"""


def load(tmp_path: Path, rest: str) -> SearchRecipe:
    path = tmp_path / "recipe.yaml"
    path.write_text(SMALL + rest)
    return load_search_recipe(path)


def test_the_shipped_recipe_loads_by_its_name_and_can_be_written_down() -> None:
    recipe = load_search_recipe(Path("demonstration_search"))
    assert recipe.name == "demonstration_search" and recipe.strategy == "racing"
    assert SearchRecipe.model_validate(yaml.safe_load(recipe.model_dump_json())) == recipe


def test_short_forms(tmp_path: Path) -> None:
    recipe = load(tmp_path, "model: org/model\nscorer: {kind: judge, judge: gpt-4o, decoding: urial}")
    assert recipe.model.base == "org/model"
    assert recipe.scorer.judge is not None and recipe.scorer.judge.model == "gpt-4o"
    assert recipe.scorer.decoding == PRESETS["urial"]


def test_all_faults_are_listed(tmp_path: Path) -> None:
    rest = """
rounds: 0
straregy: racing
model: {base: embedded, chat: true}
scorer: {kind: judge, judge: {model: trial, repeat: 2}, decoding: urail}
"""
    with pytest.raises(UserError) as raised:
        load(tmp_path, rest)
    message = str(raised.value)
    assert "has 5 faults" in message
    assert "rounds: must be greater than or equal to 1 (found 0)" in message
    assert "straregy: unknown key. Did you mean 'strategy'?" in message
    assert "model: chat: true leaves nothing to search" in message
    assert "scorer.judge.repeat: unknown key. Did you mean 'repeats'?" in message
    assert "scorer.decoding: there is no such preset. Did you mean 'urial'? (found urail)" in message


@pytest.mark.parametrize(
    ("rest", "fault"),
    [
        ("strategy: exhaustive\nbudget: 9\nscorer: {kind: log_likelihood}", "budget: without effect"),
        ("strategy: exhaustive\neta: 3\nscorer: {kind: log_likelihood}", "eta: without effect"),
        ("scorer: {kind: log_likelihood, judge: trial}", "scorer: judge without effect"),
        ("scorer: {kind: judge}", "the kind `judge` needs a judge"),
        ("scorer: {kind: log_likelihood}\ngreedy_sizes: [5, 5]", "greedy_sizes: holds a value twice: 5"),
    ],
)
def test_what_has_no_effect_is_refused(tmp_path: Path, rest: str, fault: str) -> None:
    with pytest.raises(UserError, match=fault):
        load(tmp_path, rest)
