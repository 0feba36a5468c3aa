"""The greedy search: what is chosen, what is written down, and that an interrupted search ends with the same result."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ia2_eval.errors import UserError
from ia2_eval.mtbench.prompts.builders import build_prompt_set
from ia2_eval.mtbench.prompts.prompt_set import Demonstration, PromptSet, Turn
from ia2_eval.mtbench.search.data import DevItem, SearchData
from ia2_eval.mtbench.search.greedy import LeftOut, Round, Scores, extended, search
from ia2_eval.mtbench.search.recipe import SearchRecipe
from ia2_eval.mtbench.search.result import SearchResult, report
from ia2_eval.mtbench.search.trials import Trial, TrialLedger

START = build_prompt_set("start", "Help.", [Demonstration(turns=(Turn(query="own query", answer="own answer"),))])


def one_turn(query: str) -> Demonstration:
    return Demonstration(turns=(Turn(query=query, answer="yes"),))


DATA = SearchData(
    pool={row: one_turn(f"pool {row}") for row in range(101, 113)},
    dev=tuple(DevItem(row, one_turn(f"dev {row}").turns) for row in range(1, 17)),
    held_out=tuple(DevItem(row, one_turn(f"held-out {row}").turns) for row in range(17, 37)),
)


@dataclass
class Synthetic:
    """A prompt set is worth the sum of its demonstrations' worth (half as much from the second on), give or take."""

    noise: float = 0.0
    stop_after: int | None = None
    failing: frozenset[int] = frozenset()
    """Items without a score."""
    unit: str = "points"
    asked: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)

    def score(self, prompt_set: PromptSet, items: Sequence[DevItem]) -> list[float | None]:
        if self.stop_after is not None and len(self.asked) >= self.stop_after:
            raise KeyboardInterrupt
        self.asked.append((prompt_set.sha256, tuple(item.row for item in items)))
        scores: list[float | None] = []
        for item in items:
            rng = np.random.default_rng([int(prompt_set.sha256[:8], 16), item.row])
            value = worth(prompt_set) + 10 * (item.row % 5) + self.noise * float(rng.normal())
            scores.append(None if item.row in self.failing else value)
        return scores


def worth(prompt_set: PromptSet) -> float:
    new = [demonstration.turns[0].query.removeprefix("pool ") for demonstration in prompt_set.demonstrations[:-1]]
    return sum((int(row) * 7 % 13) / (1 if place == 0 else 2) for place, row in enumerate(new))


def recipe(**changes: Any) -> SearchRecipe:
    content = {
        "name": "small",
        "prompt_set": "start",
        "pool": {"path": "rows.jsonl"},
        "dev": {"path": "rows.jsonl", "size": 16},
        "held_out": 20,
        "scorer": {"kind": "log_likelihood"},
    }
    return SearchRecipe.model_validate(content | changes)


def fits(prompt_set: PromptSet) -> None:
    return None


def run(out: Path, scorer: Synthetic, asked: SearchRecipe) -> tuple[SearchResult, list[Round], list[LeftOut]]:
    scores = Scores(scorer, TrialLedger.open(out / "trials.jsonl"))
    rounds, left_out = search(asked, DATA, START, scores, fits)
    return report("small", DATA, START, rounds, left_out, scores), rounds, left_out


@pytest.mark.parametrize("strategy", ["exhaustive", "racing"])
def test_each_round_takes_the_best_of_what_is_left(tmp_path: Path, strategy: str) -> None:
    result, rounds, _ = run(tmp_path, Synthetic(), recipe(strategy=strategy))
    by_worth = sorted(DATA.pool, key=lambda row: -(row * 7 % 13))
    assert [found.rows for found in rounds] == [tuple(by_worth[: n + 1]) for n in range(3)]
    chosen = [demonstration.turns[0].query for demonstration in rounds[2].prompt_set.demonstrations]
    assert chosen == [*(f"pool {row}" for row in by_worth[:3]), "own query"]  # new ones before the set's own
    assert rounds[0].prompt_set.text.startswith("# Instruction\n\nHelp.\n\n# Query:\n```\npool ")
    assert rounds[0].prompt_set.text.endswith(START.text.partition("Help.\n\n")[2])
    gains = [found.dev_gain.value for found in result.rounds if found.dev_gain]
    assert gains == pytest.approx([12, 12 + 10 / 2, 12 + (10 + 9) / 2])
    assert result.best_round == 3
    assert all(found.bias and found.bias.value == pytest.approx(0, abs=1e-9) for found in result.rounds)


def test_racing_scores_fewer_pairs_and_each_once(tmp_path: Path) -> None:
    scorers = {strategy: Synthetic() for strategy in ("racing", "exhaustive")}
    results = {}
    for strategy, scorer in scorers.items():
        results[strategy] = run(tmp_path / strategy, scorer, recipe(strategy=strategy))[0]
        pairs = [(sha256, row) for sha256, rows in scorer.asked for row in rows]
        assert len(pairs) == len(set(pairs))
        spent = sum(found.scored_pairs for found in results[strategy].rounds)
        assert len(pairs) == 16 + spent + 4 * 20
    racing, exhaustive = (results[name].rounds[0] for name in scorers)
    assert racing.scored_pairs < 0.5 * exhaustive.scored_pairs == 0.5 * 12 * 16
    assert racing.exhaustive_pairs == exhaustive.scored_pairs


def test_the_held_out_set_is_touched_at_the_end_only(tmp_path: Path) -> None:
    scorer = Synthetic(noise=1)
    run(tmp_path, scorer, recipe())
    held_out = [max(rows) > 16 for _, rows in scorer.asked]
    assert held_out == sorted(held_out)
    assert sum(held_out) == 4  # the starting set and three winners
    trials = [Trial.model_validate_json(line) for line in (tmp_path / "trials.jsonl").read_bytes().splitlines()]
    assert [trial.part == "held_out" for trial in trials] == held_out


def test_a_search_that_is_stopped_again_and_again_ends_with_the_same_result(tmp_path: Path) -> None:
    asked = recipe()
    whole, *_ = run(tmp_path / "whole", Synthetic(noise=3), asked)
    ledger, done = tmp_path / "parts" / "trials.jsonl", 0
    for steps in (0, 1, 5, 11, 2, 20):
        with pytest.raises(KeyboardInterrupt):
            run(ledger.parent, Synthetic(noise=3, stop_after=steps), asked)
        done += steps
        assert (len(ledger.read_bytes().splitlines()) if ledger.exists() else 0) == done
        if done:
            content = ledger.read_bytes()
            ledger.write_bytes(content[: len(content) - 9])  # killed while it wrote
            done -= 1
    scorer = Synthetic(noise=3)
    continued, *_ = run(ledger.parent, scorer, asked)
    assert continued == whole

    def lines(path: Path) -> list[dict[str, object]]:
        rows = [json.loads(line) for line in path.read_bytes().splitlines()]
        return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]

    assert lines(ledger) == lines(tmp_path / "whole" / "trials.jsonl")
    assert len(scorer.asked) + done == len(lines(ledger))
    nothing = Synthetic(noise=3, stop_after=0)
    assert run(ledger.parent, nothing, asked)[0] == whole  # all is known


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    run(tmp_path, Synthetic(), recipe(rounds=1))
    path = tmp_path / "trials.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b"{}\n", *lines[1:]]))
    with pytest.raises(UserError, match=r"trials.jsonl, line 2: not as in the trials of an earlier run"):
        TrialLedger.open(path)


def test_the_bias_of_choosing_among_equals_is_seen(tmp_path: Path) -> None:
    data = SearchData(
        {row: one_turn(f"pool {13 * row}") for row in range(1, 61)}, DATA.dev, DATA.held_out
    )  # all worth 0
    scores = Scores(Synthetic(noise=1), TrialLedger(tmp_path / "trials.jsonl"))
    rounds, left_out = search(recipe(strategy="exhaustive", rounds=1), data, START, scores, fits)
    found = report("small", data, START, rounds, left_out, scores).rounds[0]
    assert found.dev_gain is not None and found.held_out_gain is not None and found.bias is not None
    assert found.dev_gain.lower is not None and found.dev_gain.lower > 0  # looks like a gain
    assert found.held_out_gain.lower is not None and found.held_out_gain.lower < 0  # and is none
    assert found.bias.value == pytest.approx(found.dev_gain.value - found.held_out_gain.value)


def test_items_without_a_score_are_left_out_and_counted(tmp_path: Path) -> None:
    result, *_ = run(tmp_path, Synthetic(failing=frozenset({3, 20, 21})), recipe(rounds=1, strategy="exhaustive"))
    found = result.rounds[0]
    assert found.dev_gain is not None and (found.dev_gain.items, found.dev_gain.value) == (15, pytest.approx(12))
    assert found.held_out_gain is not None and found.held_out_gain.items == 18
    assert result.unscored == 13 + 2 * 2


def test_candidates_that_do_not_fit_are_left_out(tmp_path: Path) -> None:
    def lacking(prompt_set: PromptSet) -> str | None:
        queries = [demonstration.turns[0].query for demonstration in prompt_set.demonstrations]
        return "is too long" if "pool 105" in queries or len(queries) > 3 else None

    said: list[str] = []
    scores = Scores(Synthetic(), TrialLedger(tmp_path / "trials.jsonl"))
    rounds, left_out = search(recipe(), DATA, START, scores, lacking, said.append)
    assert len(rounds) == 2
    assert left_out[:2] == [LeftOut(1, 105, "is too long"), LeftOut(2, 105, "is too long")]
    assert {each.candidate for each in left_out[2:]} == set(DATA.pool) - set(rounds[1].rows)
    assert "round 1: 1 of 12 candidates left out; row 105 is too long" in said
    assert said[-1] == "round 3: no candidate is left; the search ends with 2 rounds"
    with pytest.raises(UserError, match="the starting set 'start' is too long"):
        search(recipe(), DATA, START, scores, lambda prompt_set: "is too long")
    with pytest.raises(UserError, match="no candidate of the pool can be tried: row 101 is too long"):
        search(recipe(), DATA, START, scores, lambda prompt_set: None if prompt_set == START else "is too long")


def test_a_set_with_other_text_cannot_be_extended() -> None:
    odd = START.model_copy(update={"text": START.text + "Now it begins.\n"})
    with pytest.raises(UserError, match="'start' cannot be extended"):
        extended(odd, [one_turn("new")], "longer")
