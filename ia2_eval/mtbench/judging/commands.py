"""What `ia2-eval mtbench judge` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from ia2_eval.commands import INTERRUPTED
from ia2_eval.errors import UserError
from ia2_eval.frozen import one_line
from ia2_eval.mtbench.bench import load_bench
from ia2_eval.mtbench.judging.judge import JudgeOutcome, judge_answers, judge_pairs
from ia2_eval.mtbench.judging.judge_settings import JudgeSettings
from ia2_eval.mtbench.judging.judgments import Judgment, PairJudgment
from ia2_eval.mtbench.layout import Layout

FAILURES_SHOWN = 10


def judge_settings(**given: object) -> JudgeSettings:
    """
    Raises:
        UserError: a setting cannot work.
    """
    try:
        return JudgeSettings.model_validate(given)
    except ValidationError as error:
        raise UserError(f"the judge cannot be asked: {one_line(error)}") from None


def judge_command(
    out: Path,
    settings: JudgeSettings,
    model_ids: Sequence[str] | None,
    bench: str,
    data_dir: Path | None,
    references: Path | None,
    pairwise: bool,
    baseline: str | None,
    console: Console,
    dry_run: bool,
) -> int:
    """Judge the answers in a directory; 0, 1 when some judgments failed, or 130 when interrupted.

    Every sample of an answer is rated; with `pairwise`, the first sample alone is compared.

    Raises:
        UserError: nothing can be judged, or the judge cannot go on; what was judged is kept.
    """
    if baseline is not None and not pairwise:
        raise UserError("--baseline names the model that others are compared with: give --pairwise too")
    layout = Layout(out)
    questions = load_bench(bench, data_dir, references)
    try:
        if pairwise:
            outcome = judge_pairs(layout, questions, settings, model_ids, baseline, console, dry_run)
        else:
            outcome = judge_answers(layout, questions, settings, model_ids, console, dry_run)
    except KeyboardInterrupt:
        console.print("interrupted: what was judged is kept; the same command continues")
        return INTERRUPTED
    if not dry_run:
        _print_outcome(outcome, console)
    return 1 if outcome.failed else 0


def _print_outcome(outcome: JudgeOutcome, console: Console) -> None:
    for row in outcome.failures[:FAILURES_SHOWN]:
        console.print(Text(f"failed: {_label(row)}", style="red"), soft_wrap=True)
    if outcome.failed > FAILURES_SHOWN:
        console.print(Text(f"and {outcome.failed - FAILURES_SHOWN} more", style="red"))
    if outcome.failed:
        total = outcome.judged + outcome.kept
        said = f"{outcome.failed} of {total} judgments failed; no average counts them, the same command asks again"
        console.print(Text(said, style="red"), soft_wrap=True)
    console.print(Text(str(outcome.path), style="dim"), soft_wrap=True)


def _label(row: Judgment | PairJudgment) -> str:
    """Such as `llama, question 81, turn 2: unparseable: I would rather not say ...`."""
    if isinstance(row, PairJudgment):
        games = (row.g1_winner, row.g1_judgment), (row.g2_winner, row.g2_judgment)
        said = next(text for winner, text in games if winner == "error")
        return f"{row.model_1} and {row.model_2}, question {row.question_id}, turn {row.turn}: {_ending(said)}"
    which = "".join(f", {name} {number}" for name, number in (("sample", row.sample), ("repeat", row.repeat)) if number)
    return f"{row.model}, question {row.question_id}, turn {row.turn}{which}: {row.status}: {_ending(row.judgment)}"


def _ending(text: str) -> str:
    """Where a rating should be."""
    words = " ".join(text.split())
    return words if len(words) <= 120 else f"... {words[-116:]}"
