"""What `ia2-eval mtbench sweep` does: every setting of a recipe, on one loaded model."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ia2_eval.atomic import write_atomically
from ia2_eval.commands import INTERRUPTED, quieten
from ia2_eval.errors import UserError
from ia2_eval.mtbench.bench import Bench, load_bench
from ia2_eval.mtbench.generation.decoding_settings import DecodingSettings
from ia2_eval.mtbench.generation.models import OpenModel, open_model
from ia2_eval.mtbench.generation.run import generate_answers
from ia2_eval.mtbench.layout import Layout, answers_name
from ia2_eval.mtbench.prompts.prompt_set import PromptSet
from ia2_eval.mtbench.prompts.sources import load_prompt_set
from ia2_eval.mtbench.questions import Question, spread
from ia2_eval.mtbench.sweeps.recipe import SweepRecipe, load_sweep
from ia2_eval.mtbench.writing import writing

FAILURES = "failures.txt"
"""In --out: what went wrong last time, with tracebacks."""


@dataclass(frozen=True)
class Arm:
    """One setting of a sweep."""

    model_id: str
    prompt_set: PromptSet | None
    decoding: DecodingSettings


def sweep_command(
    path: Path,
    out: Path,
    base: str | None,
    limit: int | None,
    data_dir: Path | None,
    device: str | None,
    batch_size: int | None,
    dry_run: bool,
    console: Console,
) -> int:
    """Generate all answers, judge them if the recipe names a judge, and report; 1 when a part failed, 130 when
    interrupted.

    Raises:
        UserError: the recipe, its prompt sets or its model cannot be used; nothing has been generated.
    """
    recipe = load_sweep(path)
    if base is not None:
        recipe = recipe.model_copy(update={"model": recipe.model.model_copy(update={"base": base, "revision": None})})
    if limit is not None:
        recipe = recipe.model_copy(update={"limit": limit})
    bench = load_bench(recipe.bench, data_dir)
    questions = spread(bench.questions, recipe.limit)
    arms = plan_arms(recipe, data_dir)
    _print_plan(recipe, arms, questions, console)
    if dry_run:
        return 0
    quieten()
    layout = Layout(out)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    try:
        model = open_model(recipe.model, device, batch_size)
        failed = _generate(model, arms, questions, layout, recipe, console)
        return _finish(recipe, bench, arms, failed, layout, data_dir, console)
    except KeyboardInterrupt:
        console.print("interrupted: the same command continues", highlight=False)
        return INTERRUPTED


def plan_arms(recipe: SweepRecipe, data_dir: Path | None) -> tuple[Arm, ...]:
    """
    Raises:
        UserError: a prompt set is not to be had, two are called alike, or the backend cannot decode so.
    """
    settings, base = recipe.settings(), recipe.model.base
    if recipe.model.chat:
        return tuple(Arm(answers_name(base, "chat", each.name), None, each) for each in settings)
    sets = [load_prompt_set(name, data_dir) for name in recipe.prompt_sets]
    names = [one.name for one in sets]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise UserError(f"several prompt_sets are called {', '.join(sorted(repeated))}: rename the files")
    return tuple(Arm(answers_name(base, one.name, each.name), one, each) for one in sets for each in settings)


def _print_plan(recipe: SweepRecipe, arms: Sequence[Arm], questions: Sequence[Question], console: Console) -> None:
    table = Table("model id", "texts", "tokens at most", box=None)
    turns = sum(len(question.turns) for question in questions)
    for arm in arms:
        texts = turns * arm.decoding.samples
        table.add_row(arm.model_id, f"{texts:,}", f"{texts * arm.decoding.max_new_tokens:,}")
    console.print(table)
    texts = sum(turns * arm.decoding.samples for arm in arms)
    console.print(f"{len(arms)} settings, {len(questions)} questions, {texts:,} texts", highlight=False)
    if recipe.grid and (combinations := recipe.grid.combinations) > (kept := len(recipe.grid.settings())):
        console.print(f"{combinations - kept} combinations of the grid are left out: they change nothing")


def _generate(
    model: OpenModel,
    arms: Sequence[Arm],
    questions: Sequence[Question],
    layout: Layout,
    recipe: SweepRecipe,
    console: Console,
) -> list[str]:
    """The model ids that failed."""

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    failures: dict[str, str] = {}
    for number, arm in enumerate(arms, start=1):
        try:
            generate_answers(
                model,
                questions,
                arm.prompt_set,
                arm.decoding,
                layout,
                arm.model_id,
                recipe.clean_up,
                lambda line, number=number: say(f"[{number}/{len(arms)}] {line}"),  # type: ignore[misc]
                recipe.bench,
            )
        except Exception as error:
            failures[arm.model_id] = traceback.format_exc()
            say(f"[{number}/{len(arms)}] {arm.model_id} failed: {error}")
    if failures:
        content = "\n".join(f"{model_id}\n{trace}" for model_id, trace in failures.items())
        with writing(layout.directory / FAILURES):
            write_atomically(layout.directory / FAILURES, content.encode())
        say(f"{len(failures)} of {len(arms)} failed: {', '.join(failures)}; why: {layout.directory / FAILURES}")
    else:
        (layout.directory / FAILURES).unlink(missing_ok=True)
    return list(failures)


def _finish(
    recipe: SweepRecipe,
    bench: Bench,
    arms: Sequence[Arm],
    failed: Sequence[str],
    layout: Layout,
    data_dir: Path | None,
    console: Console,
) -> int:
    """Judge and report what is there; the exit status."""
    answered = [arm.model_id for arm in arms if arm.model_id not in failed]
    status = 1 if failed else 0
    if not answered:
        return status
    if recipe.judge is not None:
        from ia2_eval.mtbench.judging.judge import judge_answers

        outcome = judge_answers(layout, bench, recipe.judge, answered, console)
        status = 1 if outcome.failed else status
    from ia2_eval.mtbench.reports.commands import report_command

    report_command(layout.directory, (), "table", "last", False, None, None, None, data_dir, answered, None, console)
    return status
