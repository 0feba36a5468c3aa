"""What `ia2-eval mtbench search` does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ia2_eval.commands import INTERRUPTED, quieten
from ia2_eval.mtbench.bench import TRIAL, Bench, load_bench
from ia2_eval.mtbench.generation.backends import require_supported, require_usable
from ia2_eval.mtbench.generation.models import OpenModel, open_model
from ia2_eval.mtbench.layout import Layout
from ia2_eval.mtbench.lock import sole_run
from ia2_eval.mtbench.prompts.overlap import evaluated_keys
from ia2_eval.mtbench.prompts.prompt_set import PromptSet
from ia2_eval.mtbench.prompts.sources import load_prompt_set
from ia2_eval.mtbench.recipe_file import find_recipe
from ia2_eval.mtbench.search.conditions import Conditions, settle
from ia2_eval.mtbench.search.cost import describe_cost, scored_pairs
from ia2_eval.mtbench.search.data import SearchData, draw_data
from ia2_eval.mtbench.search.files import greedy_sets, write_files
from ia2_eval.mtbench.search.greedy import Done, Scores, extended, search
from ia2_eval.mtbench.search.recipe import SearchRecipe, load_search_recipe
from ia2_eval.mtbench.search.result import SearchResult, report
from ia2_eval.mtbench.search.room import Room
from ia2_eval.mtbench.search.scorers import LogLikelihoodScorer, Scorer
from ia2_eval.mtbench.search.trials import TrialLedger
from ia2_eval.mtbench.writing import writing

SETTINGS, TRIALS, ANSWERS, REPLIES = "search_settings.json", "trials.jsonl", "answers", "judge_replies"


def search_command(
    recipe: Path,
    out: Path,
    data_dir: Path | None,
    device: str | None,
    batch_size: int | None,
    dry_run: bool,
    console: Console,
) -> int:
    """Search demonstrations by a recipe; the exit status: 0, or 130 when interrupted. The same command continues.

    Raises:
        UserError: the recipe, its data or its model cannot be used, or --out holds another search or cannot be written.
    """
    path = find_recipe(recipe)
    asked = load_search_recipe(path)
    backend = require_usable(asked.model, device)
    if asked.scorer.kind == "judge":
        require_supported(backend, asked.scorer.decoding, asked.model.base)
    beside = path.parent
    start = load_prompt_set(_beside(asked.prompt_set, beside), data_dir)
    bench = load_bench(asked.scorer.bench, data_dir) if asked.scorer.kind == "judge" else None
    benches = [load_bench(TRIAL), *([bench] if bench else [])]
    evaluated = evaluated_keys(question for each in benches for question in each.questions)
    data = draw_data(asked, beside, data_dir, start, evaluated)
    extended(start, (), start.name)  # a set that cannot be extended is refused before a model is loaded
    _say(console, *_notes(data), *describe_cost(asked, data))
    if dry_run:
        return 0
    quieten()
    try:
        with sole_run(out):
            result = _search(asked, out, data, start, bench, open_model(asked.model, device, batch_size), console)
    except KeyboardInterrupt:
        _say(console, f"interrupted: what was scored is in {out / TRIALS}; the same command continues")
        return INTERRUPTED
    _print_result(result, out, console)
    return 0


def _search(
    recipe: SearchRecipe,
    out: Path,
    data: SearchData,
    start: PromptSet,
    bench: Bench | None,
    model: OpenModel,
    console: Console,
) -> SearchResult:
    settle(out / SETTINGS, Conditions.of(recipe, model, start, data, bench))
    scorer = _scorer(recipe, model, bench, out)
    room = Room.of(model, (*data.dev, *data.held_out), recipe.scorer, start)
    scores = Scores(scorer, TrialLedger.open(out / TRIALS))
    if scores.ledger.scores:
        _say(console, f"{len(scores.ledger.scores)} scores of an earlier run are there")
    with _progress(scored_pairs(recipe, data), console) as done:
        scores = replace(scores, done=done)
        rounds, left_out = search(recipe, data, start, scores, room.lacking, lambda line: _say(console, line))
        result = report(recipe.name, data, start, rounds, left_out, scores)
    sets, faults = greedy_sets(recipe.greedy_sizes, start, data, rounds[0], room.lacking)
    _say(console, *faults)
    with writing(out):
        write_files(out, result, [*(found.prompt_set for found in rounds), *sets])
    return result


def _scorer(recipe: SearchRecipe, model: OpenModel, bench: Bench | None, out: Path) -> Scorer:
    if bench is None:
        return LogLikelihoodScorer(model)
    from ia2_eval.mtbench.search.judge_scorer import JudgeScorer

    return JudgeScorer(model, bench, recipe.scorer, Layout(out / ANSWERS), out / REPLIES)


def _beside(prompt_set: str, directory: Path) -> str:
    """A path relative to the recipe, if there is such a file; else the name as it is."""
    return str(directory / prompt_set) if (directory / prompt_set).is_file() else prompt_set


def _notes(data: SearchData) -> Iterator[str]:
    if data.unusable:
        yield f"{len(data.unusable)} rows cannot be demonstrations and are left out, such as {data.unusable[0]}"


@contextmanager
def _progress(total: int, console: Console) -> Iterator[Done]:
    columns = TextColumn("scores"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("scores", total=total)
        yield lambda count: bar.advance(task, count)


def _print_result(result: SearchResult, out: Path, console: Console) -> None:
    table = Table("round", "row added", "dev gain", "held-out gain", "selection bias", box=SIMPLE_HEAD)
    for found in result.rounds:
        gains = (found.dev_gain, found.held_out_gain, found.bias)
        table.add_row(str(found.round), str(found.rows[-1]), *("\n".join(str(gain).split(" ", 1)) for gain in gains))
    console.print(table)
    _say(
        console,
        f"starting set {result.start!r}: {_score(result.start_dev_score)} {result.unit} on {result.dev_items} dev "
        f"items, {_score(result.start_held_out_score)} on {result.held_out_items} held-out items",
        result.statement,
    )
    if result.unscored:
        _say(console, f"{result.unscored} scores are missing, after failed judgments; no comparison counts their items")
    if result.left_out:
        _say(console, f"{len(result.left_out)} candidates did not fit the model's context; they are in search.json")
    _say(
        console,
        f"use it: --prompts {out / result.rounds[result.best_round - 1].prompt_set}; the figure: {out / 'search.png'}",
    )


def _score(score: float | None) -> str:
    return "no score" if score is None else f"{score:.3f}"


def _say(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
