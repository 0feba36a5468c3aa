"""The tables of a comparison."""

from __future__ import annotations

from collections.abc import Sequence

from ia2_eval.leaderboard.style import method_title
from ia2_eval.mtbench.comparison.rows import DIFFERENCE, LIKELIHOOD, SCORE, TURNS, Row
from ia2_eval.mtbench.comparison.run import Outcome
from ia2_eval.mtbench.judging.judge_settings import JudgeSettings
from ia2_eval.mtbench.reports.captions import intervals
from ia2_eval.mtbench.reports.degeneration import NGRAM
from ia2_eval.mtbench.reports.estimates import INTERVAL
from ia2_eval.mtbench.reports.tables import NOT_KNOWN, Cell, Table, shown

INTERVAL_OF_ALL_SEEDS = f"{INTERVAL}, each with the results of all seeds"
SPREAD = " ±: standard deviation over the seeds, each a draw of the examples."


def comparison_tables(rows: Sequence[Row], judge: JudgeSettings | None, dev: int) -> tuple[Table, ...]:
    """Scores, if there is a judge, and what is measured without one.

    Args:
        rows: of `result_rows`.
        judge: who rated the answers, if anyone did.
        dev: examples beyond N that chose the weights of trained arms.
    """
    extra = [f"The weights of trained methods were chosen on {dev} further labelled examples."] if dev else []
    tables = [_without_judge(rows, extra)]
    if judge is not None:
        tables.insert(0, _scores(rows, judge, extra))
    return tuple(tables)


def left_out(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    """The arms without results, and why."""
    return tuple(
        f"{outcome.arm.model_id} {outcome.record.status}: {outcome.record.reason}"
        for outcome in outcomes
        if outcome.record.status != "done"
    )


def _scores(rows: Sequence[Row], judge: JudgeSettings, extra: Sequence[str]) -> Table:
    lines = []
    for method, n in _groups(rows):
        scores = [_find(rows, method, n, SCORE, turn) for turn in TURNS]
        differences = [_find(rows, method, n, DIFFERENCE, turn) for turn in TURNS]
        cells: list[Cell] = [_spread(row) for row in scores]
        cells += [shown(row.estimate if row else None, signed=True) for row in differences]
        lines.append((_name(method, n), *cells, (str(max((row.seeds for row in scores if row), default=0)),)))
    header = ("method", "turn 1", "turn 2", "turn 1 - ICL", "turn 2 - ICL", "seeds")
    caption = (
        f"Mean rating by {judge.model}, 1 to 10.{_said(lines)}",
        "- ICL: difference to in-context learning on the same examples, paired by question.",
        *extra,
    )
    if judge.is_trial:
        caption += ("Warning: the trial judge judges nothing; these scores show how everything works, no more.",)
    return Table("Score against the number N of examples", header, tuple(lines), caption)


def _without_judge(rows: Sequence[Row], extra: Sequence[str]) -> Table:
    lines = []
    for method, n in _groups(rows):
        cells: list[Cell] = [_spread(_find(rows, method, n, LIKELIHOOD, 1), 3)]
        for measure, digits, share in (("repetition", 3, False), ("words", 1, False), ("empty", 0, True)):
            for turn in TURNS:
                row = _find(rows, method, n, measure, turn)
                cells.append(shown(row.estimate if row else None, digits, per_cent=share)[:1])
        lines.append((_name(method, n), *cells))
    names = [f"{name}, turn {turn}" for name in ("repetition", "words", "empty %") for turn in TURNS]
    caption = (
        f"Log-likelihood: of the answers to held-out examples, turn 1, in nats per token.{_said(lines)}",
        f"Repetition: share of an answer's word {NGRAM}-grams that were there before. Intervals and more: CSV.",
        *extra,
    )
    return Table("Without a judge", ("method", "log-likelihood", *names), tuple(lines), caption)


def _groups(rows: Sequence[Row]) -> list[tuple[str, int | None]]:
    return list(dict.fromkeys((row.method, row.n) for row in rows))


def _name(method: str, n: int | None) -> Cell:
    """In one column, which a table that is too wide repeats."""
    return (method_title(method) if n is None else f"{method_title(method)}, N={n}",)


def _find(rows: Sequence[Row], method: str, n: int | None, measure: str, turn: int) -> Row | None:
    sought = (method, n, None, measure, turn)
    return next((row for row in rows if row[:5] == sought), None)


def _said(lines: Sequence[Sequence[Cell]]) -> str:
    """What [ ] and ± are, of those that are there."""
    spread = any("±" in cell[0] for line in lines for cell in line)
    return intervals(lines, INTERVAL_OF_ALL_SEEDS) + SPREAD * spread


def _spread(row: Row | None, digits: int = 2) -> Cell:
    """Value with the spread over seeds, and interval."""
    if row is None:
        return NOT_KNOWN
    value, *interval = shown(row.estimate, digits)
    return (f"{value} ± {row.seed_sd:.{digits}f}" if row.seed_sd is not None else value, *interval)
