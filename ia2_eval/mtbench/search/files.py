"""The files that a search leaves: the result, prompt sets to use, the ranking of round 1, and a figure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ia2_eval.atomic import write_atomically
from ia2_eval.leaderboard.figures.write import write_figure
from ia2_eval.mtbench.prompts.prompt_set import PromptSet
from ia2_eval.mtbench.prompts.typed_format import as_typed
from ia2_eval.mtbench.prompts.urial_format import parse_prompt
from ia2_eval.mtbench.search.data import SearchData
from ia2_eval.mtbench.search.greedy import Lacking, Round, extended
from ia2_eval.mtbench.search.plot import search_figure
from ia2_eval.mtbench.search.result import SearchResult

RESULT, RANKING, FIGURE, SETS = "search.json", "ranking.jsonl", "search", "prompt_sets"


def write_files(out: Path, result: SearchResult, sets: Sequence[PromptSet]) -> list[Path]:
    """
    Args:
        out: directory of the search.
        result: of it.
        sets: to write, besides.
    """
    paths = [write_atomically(out / RESULT, (result.model_dump_json(indent=1) + "\n").encode())]
    for prompt_set in sets:
        paths += write_prompt_set(out / SETS, prompt_set)
    paths.append(write_atomically(out / RANKING, "".join(_ranking(result)).encode("ascii")))
    return paths + write_figure(lambda: search_figure(result), out / FIGURE)


def write_prompt_set(directory: Path, prompt_set: PromptSet) -> list[Path]:
    """As YAML, and as text if the text alone says the same."""
    paths = [write_atomically(directory / f"{prompt_set.name}.yaml", as_typed(prompt_set).encode())]
    if parse_prompt(prompt_set.name, prompt_set.text).sha256 == prompt_set.sha256:
        paths.append(write_atomically(directory / f"{prompt_set.name}.txt", prompt_set.text.encode()))
    return paths


def greedy_sets(
    sizes: Sequence[int], start: PromptSet, data: SearchData, first: Round, lacking: Lacking
) -> tuple[list[PromptSet], list[str]]:
    """Published as `greedy.N`: the best of round 1, best first, before the set's own, N demonstrations in all.

    Returns:
        The sets, and why others cannot be had.
    """
    sets, faults = [], []
    for size in sizes:
        new = size - len(start.demonstrations)
        if not 0 < new <= len(first.standings):
            own, tried = len(start.demonstrations), len(first.standings)
            faults.append(f"no set of {size} demonstrations: {start.name} has {own}, and {tried} were ranked")
            continue
        best = [data.pool[standing.candidate] for standing in first.standings[:new]]
        prompt_set = extended(start, best, f"greedy_{size}")
        if fault := lacking(prompt_set):
            faults.append(f"no set of {size} demonstrations: it {fault}")
        else:
            sets.append(prompt_set)
    return sets, faults


def _ranking(result: SearchResult) -> list[str]:
    """Candidates of round 1, best first, as rows of a pool."""
    return [json.dumps(each.model_dump(mode="json")) + "\n" for each in result.rounds[0].candidates]
