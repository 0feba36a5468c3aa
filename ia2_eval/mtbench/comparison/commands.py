"""What `ia2-eval mtbench compare` does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from ia2_eval.atomic import write_atomically
from ia2_eval.commands import INTERRUPTED, quieten
from ia2_eval.errors import UserError
from ia2_eval.experiments.interruption import remembered
from ia2_eval.leaderboard.figures.write import write_figure
from ia2_eval.mtbench.bench import Bench, load_bench
from ia2_eval.mtbench.comparison.arms import PlannedArm, fitting_held_out, plan_arms
from ia2_eval.mtbench.comparison.examples import draw_examples
from ia2_eval.mtbench.comparison.plot import comparison_figure
from ia2_eval.mtbench.comparison.recipe import ComparisonRecipe, load_comparison
from ia2_eval.mtbench.comparison.records import FREE, ComparisonSettings, new_settings, require_same
from ia2_eval.mtbench.comparison.rows import result_rows, to_csv
from ia2_eval.mtbench.comparison.run import ArmRunner, Outcome
from ia2_eval.mtbench.comparison.table import comparison_tables, left_out
from ia2_eval.mtbench.comparison.training import AdapterTrainer
from ia2_eval.mtbench.differences import differences
from ia2_eval.mtbench.generation.backends import require_supported, require_usable
from ia2_eval.mtbench.generation.models import OpenModel, open_model
from ia2_eval.mtbench.judging.judge import judge_answers
from ia2_eval.mtbench.judging.judge_settings import JudgeSettings
from ia2_eval.mtbench.judging.judgments import Judgment, read_judgments
from ia2_eval.mtbench.layout import Layout
from ia2_eval.mtbench.lock import sole_run
from ia2_eval.mtbench.prompts.sources import INSTRUCTION, load_prompt_set
from ia2_eval.mtbench.questions import spread
from ia2_eval.mtbench.recipe_file import find_recipe
from ia2_eval.mtbench.reports.render import print_tables, to_markdown
from ia2_eval.mtbench.reports.scores import scores
from ia2_eval.mtbench.writing import writing


def compare_command(
    recipe: Path,
    out: Path,
    data_dir: Path | None,
    device: str | None,
    batch_size: int | None,
    dry_run: bool,
    console: Console,
    judge: JudgeSettings | None = None,
) -> int:
    """Run a comparison; 0 when every arm that fits is done and judged, 1 when some failed, 130 when interrupted.

    Args:
        recipe: YAML file, or the name of a shipped one.
        out: directory for everything.
        data_dir: local data; None for `IA2_DATA_DIR`.
        device: see `open_model`.
        batch_size: requests per forward pass in evaluation.
        dry_run: show the plan and stop.
        console: for plan, progress and result.
        judge: instead of the recipe's.

    Raises:
        UserError: the recipe, its data or its model cannot be used, or the judge cannot go on; what is done is kept.
    """
    quieten()
    path = find_recipe(recipe)
    asked = load_comparison(path)
    if judge is not None:
        asked = asked.model_copy(update={"judge": judge})
    require_supported(require_usable(asked.model, device), asked.decoding, asked.model.base)
    bench = load_bench(asked.bench, data_dir)

    def say(line: str) -> None:
        console.print(Text(line), soft_wrap=True)

    examples = draw_examples(asked, path.parent, data_dir, bench.questions, say)
    bench = replace(bench, questions=spread(bench.questions, asked.limit))
    instruction = load_prompt_set(INSTRUCTION).instruction if asked.instruction is None else asked.instruction
    model = open_model(asked.model, device, batch_size)
    planned = plan_arms(asked, examples, instruction, bench.questions, model)
    settings = new_settings(asked, instruction, examples.sha256, bench.sha256, model.fingerprint)
    if dry_run:
        _refuse_another(out, settings)
        _print_plan(planned, asked, bench, model, console)
        return 0
    with sole_run(out):
        require_same(out, settings)
        trainer = AdapterTrainer(model, asked.training, examples, instruction, out)
        held_out = fitting_held_out(examples.held_out, planned, model)
        if len(held_out) < len(examples.held_out):
            say(
                f"{len(held_out)} of {len(examples.held_out)} held-out examples fit behind every prompt; those are used"
            )
        layout = Layout(out)
        try:
            with remembered() as interruption:
                runner = ArmRunner(
                    model, trainer, asked.bench, bench.questions, held_out, asked.decoding, layout, say, interruption
                )
                outcomes = runner.run(planned)
            failed = _judge(asked, bench, layout, outcomes, console)
        except KeyboardInterrupt:
            say("interrupted: what is done is kept; the same command continues")
            return INTERRUPTED
        _report(asked, bench, outcomes, out, console)
    return 1 if failed or any(outcome.record.status == "failed" for outcome in outcomes) else 0


def _judge(
    recipe: ComparisonRecipe, bench: Bench, layout: Layout, outcomes: Sequence[Outcome], console: Console
) -> int:
    """Judge the answers of all arms that are done; the number of failed judgments."""
    done = [outcome.arm.model_id for outcome in outcomes if outcome.record.status == "done"]
    if recipe.judge is None or not done:
        return 0
    outcome = judge_answers(layout, bench, recipe.judge, done, console)
    if outcome.failed:
        console.print(Text(f"{outcome.failed} judgments failed and are in no mean; the same command asks again"))
    return outcome.failed


def _report(recipe: ComparisonRecipe, bench: Bench, outcomes: Sequence[Outcome], out: Path, console: Console) -> None:
    judge = recipe.judge.model if recipe.judge else None
    categories = {question.question_id: question.category for question in bench.questions}
    judged = {scored.model: scored for scored in scores(_judgments(recipe, out), categories)}
    rows = result_rows(outcomes, judged)
    notes = (*left_out(outcomes), *_not_asked_for(outcomes, out))
    if not rows:
        raise UserError("\n  ".join(["no arm has a result:", *notes]))
    tables = comparison_tables(rows, recipe.judge, recipe.training.dev)
    print_tables(tables, notes, console)
    title = f"{recipe.name}: {recipe.model.base} on {bench.name}, examples from {recipe.data}\n" + (
        "mean over questions and seeds, 95 % interval over questions; dots: seeds"
    )
    if recipe.judge is not None and recipe.judge.is_trial:
        title += "\nthe trial judge judges nothing: these scores mean nothing"
    with writing(out):
        figures = write_figure(partial(comparison_figure, rows, outcomes, judge, title), out / "score_vs_n")
        page = to_markdown(recipe.name, tables, notes, [path.name for path in figures if path.suffix == ".png"])
        paths = [
            write_atomically(out / "comparison.csv", to_csv(rows, judge).encode()),
            write_atomically(out / "comparison.md", page.encode()),
            *figures,
        ]
    for path in paths:
        console.print(Text(str(path), style="dim"), soft_wrap=True)


def _judgments(recipe: ComparisonRecipe, out: Path) -> tuple[Judgment, ...]:
    if recipe.judge is None:
        return ()
    path = Layout(out).judgments(recipe.judge.model, "single")
    return read_judgments(path) if path.exists() else ()


def _not_asked_for(outcomes: Sequence[Outcome], out: Path) -> Iterator[str]:
    """The arms of earlier runs that the tables and the figure leave out."""
    asked = {outcome.arm.model_id for outcome in outcomes}
    if others := sorted({path.stem for path in (out / "arms").glob("*.json")} - asked):
        yield f"arms of earlier runs that this recipe does not ask for are not shown: {', '.join(others)}"


def _refuse_another(out: Path, settings: ComparisonSettings) -> None:
    """As `require_same`, which writes where it does not refuse.

    Raises:
        UserError: there is another comparison, or its settings are damaged.
    """
    path = out / "comparison.json"
    if not path.exists():
        return
    try:
        same = not differences(ComparisonSettings.model_validate_json(path.read_bytes()), settings, FREE)
    except (OSError, ValidationError):
        same = False
    if not same:
        require_same(out, settings)


def _print_plan(
    planned: Sequence[PlannedArm], recipe: ComparisonRecipe, bench: Bench, model: OpenModel, console: Console
) -> None:
    """Each arm with its tokens, and what the run takes."""
    drawn = RichTable(box=None, pad_edge=False)
    for heading in ("arm", "longest prompt", "teacher's prompt"):
        drawn.add_column(heading, justify="left" if heading == "arm" else "right")
    for each in planned:
        tokens = ("" if count is None else f"{count:,}" for count in (each.prompt_tokens, each.teacher_tokens))
        drawn.add_row(each.arm.model_id, *tokens, style="red" if each.skipped else None)
    console.print(drawn)
    for each in planned:
        if each.skipped:
            console.print(Text(f"{each.arm.model_id} will be skipped: {each.skipped}", style="red"), soft_wrap=True)
    run = [each for each in planned if not each.skipped]
    texts = len(run) * recipe.decoding.samples * sum(len(question.turns) for question in bench.questions)
    judged = texts * recipe.judge.repeats if recipe.judge else 0
    context = "" if model.max_length is None else f"Prompts in tokens; the context has {model.max_length:,}. "
    console.print(
        Text(
            f"{context}{len(run)} arms on {len(bench.questions)} questions: "
            f"{sum(each.arm.trained for each in run)} trainings, {texts:,} texts, {judged:,} judge calls"
        ),
        soft_wrap=True,
    )
