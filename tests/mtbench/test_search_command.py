"""`ia2-eval mtbench search` with the embedded model, from the recipe to files that other commands read."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from ia2_eval.commands import INTERRUPTED
from ia2_eval.errors import UserError
from ia2_eval.mtbench.generation.models import OpenModel
from ia2_eval.mtbench.prompts.pools import load_pool
from ia2_eval.mtbench.prompts.prompt_set import PromptSet
from ia2_eval.mtbench.prompts.sources import load_prompt_set
from ia2_eval.mtbench.search import commands
from ia2_eval.mtbench.search.result import SearchResult
from ia2_eval.mtbench.search.scorers import LogLikelihoodScorer

RECIPE = """
name: small
prompt_set: own.yaml
pool: {path: "embedded:mood/train", limit: 6}
dev: {path: "embedded:mood/test", size: 8}
held_out: 9
rounds: 2
scorer: {kind: log_likelihood}
greedy_sizes: [3, 40]
"""
OWN = "instruction: Sort.\ndemonstrations: [{turns: [{query: a doll, answer: '0'}]}]\n"


@pytest.fixture(autouse=True)
def the_loaded_model(embedded_model: OpenModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "open_model", lambda settings, device, batch_size: embedded_model)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "own.yaml").write_text(OWN)
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return path


def run(recipe: Path, out: Path, dry_run: bool = False) -> tuple[int, str]:
    text = StringIO()
    status = commands.search_command(recipe, out, None, None, None, dry_run, Console(file=text, width=100))
    return status, text.getvalue()


def test_from_the_recipe_to_prompts_that_can_be_used(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    status, said = run(recipe, out)
    assert status == 0
    assert "racing: 68 scores instead of 88 of an exhaustive search, 77%" in said
    assert "Report the held-out gain." in said
    assert f"use it: --prompts {out}/prompt_sets/round_" in said
    assert "no set of 40 demonstrations: own has 1, and 6 were ranked" in said
    result = SearchResult.model_validate_json((out / "search.json").read_bytes())
    start = load_prompt_set(str(tmp_path / "own.yaml"))
    for found in result.rounds:
        for suffix in (".txt", ".yaml"):
            stored = load_prompt_set(str((out / found.prompt_set).with_suffix(suffix)))
            assert stored.sha256 == found.prompt_sha256
            assert len(stored.demonstrations) == 1 + found.round
            assert stored.demonstrations[-1] == start.demonstrations[0]
    ranking = load_pool(out / "ranking.jsonl")
    assert len(ranking) == 6 and ranking[0].turns == result.rounds[0].candidates[0].turns
    greedy = load_prompt_set(str(out / "prompt_sets" / "greedy_3.yaml"))
    assert [each.turns for each in greedy.demonstrations[:2]] == [each.turns for each in ranking[:2]]
    assert (out / "search.png").stat().st_size > 10_000 and (out / "search.svg").is_file()
    before = (out / "search.json").read_bytes(), (out / "trials.jsonl").read_bytes(), (out / "search.svg").read_bytes()
    assert run(recipe, out)[0] == 0
    assert before == tuple((out / name).read_bytes() for name in ("search.json", "trials.jsonl", "search.svg"))


def test_a_dry_run_says_what_it_costs_and_writes_nothing(recipe: Path, tmp_path: Path) -> None:
    status, said = run(recipe, tmp_path / "out", dry_run=True)
    assert status == 0 and not (tmp_path / "out").exists()
    assert "6 candidates, 8 dev items, 9 held-out items, rounds: 2" in said
    assert "round 1: 6 x 4, then 3 x 4 = 36 scores" in said
    assert "8 dev items are few: a block has 4 or more; a larger dev.size allows more blocks" in said
    assert "in all 103 scores: 8 for the starting set, 68 in the rounds, 27 on the held-out set at the end" in said
    judged = RECIPE.replace("{kind: log_likelihood}", "{kind: judge, judge: {model: trial, repeats: 3}, bench: trial}")
    recipe.write_text(judged)
    assert "103 generated answers and 309 judge calls" in run(recipe, tmp_path / "out", dry_run=True)[1]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("{base: x, backend: vlm}", "Did you mean 'vllm'"),
        ("{base: x, backend: openai-completions}", "openai-completions knows no repetition_penalty"),
    ],
)
def test_what_a_backend_cannot_do_is_said_before_anything_else(
    recipe: Path, tmp_path: Path, model: str, said: str
) -> None:
    scorer = "{kind: judge, judge: trial, bench: trial, decoding: urial}"
    recipe.write_text(RECIPE.replace("{kind: log_likelihood}", scorer) + f"model: {model}\n")
    with pytest.raises(UserError, match=said):
        run(recipe, tmp_path / "out", dry_run=True)


def test_an_interrupted_search_continues(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, score = tmp_path / "out", LogLikelihoodScorer.score
    calls = 0

    def interrupted(scorer: LogLikelihoodScorer, prompt_set: PromptSet, items: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return score(scorer, prompt_set, items)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(LogLikelihoodScorer, "score", interrupted)
        status, said = run(recipe, out)
    assert status == INTERRUPTED and "the same command continues" in said
    assert len((out / "trials.jsonl").read_bytes().splitlines()) == 3
    status, said = run(recipe, out)
    assert status == 0 and "scores of an earlier run are there" in said
    assert run(recipe, tmp_path / "whole")[0] == 0
    assert (out / "search.json").read_bytes() == (tmp_path / "whole" / "search.json").read_bytes()


def test_another_recipe_in_the_same_directory_is_refused(recipe: Path, tmp_path: Path) -> None:
    assert run(recipe, tmp_path / "out")[0] == 0
    recipe.write_text(RECIPE.replace("name: small", "name: other").replace("[3, 40]", "[4]"))
    assert run(recipe, tmp_path / "out")[0] == 0  # neither changes a score or a choice
    assert len(load_prompt_set(str(tmp_path / "out" / "prompt_sets" / "greedy_4.yaml")).demonstrations) == 4
    recipe.write_text(RECIPE.replace("rounds: 2", "rounds: 1").replace("held_out: 9", "held_out: 10"))
    (tmp_path / "own.yaml").write_text(OWN.replace("a doll", "a kite"))
    with pytest.raises(UserError) as raised:
        run(recipe, tmp_path / "out")
    lines = str(raised.value).splitlines()
    assert lines[0] == "--out holds a search under other conditions; give another --out:"
    assert {"  recipe.rounds: 2 -> 1", "  recipe.held_out: 9 -> 10"} < set(lines)
    assert [line.partition(":")[0] for line in lines[3:]] == ["  start_sha256", "  held_out_sha256"]


def test_what_cannot_be_written_is_named(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "search.json").mkdir(parents=True)
    with pytest.raises(UserError, match=r"cannot write .*out: Is a directory; what was there before is kept"):
        run(recipe, tmp_path / "out")


def test_the_judge_as_scorer(recipe: Path, tmp_path: Path) -> None:
    scorer = "{kind: judge, judge: trial, bench: trial, decoding: {max_new_tokens: 2}}"
    small = RECIPE.replace("{kind: log_likelihood}", scorer).replace("rounds: 2", "rounds: 1")
    recipe.write_text(small.replace("limit: 6", "limit: 2").replace("size: 8", "size: 2").replace(": 9", ": 2"))
    assert run(recipe, tmp_path / "out")[0] == 0
    result = SearchResult.model_validate_json((tmp_path / "out" / "search.json").read_bytes())
    assert result.unit == "rating from 1 to 10" and result.unscored == 0
    rows = [json.loads(line) for line in (tmp_path / "out" / "trials.jsonl").read_bytes().splitlines()]
    assert all(1 <= score <= 10 for row in rows for score in row["scores"])
    assert list((tmp_path / "out" / "judge_replies").glob("*.json"))
    changed = recipe.read_text().replace("judge: trial,", "judge: {model: trial, concurrency: 2},")
    recipe.write_text(changed)
    assert run(recipe, tmp_path / "out")[0] == 0  # how fast the judge is asked changes nothing
