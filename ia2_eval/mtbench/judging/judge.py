"""Judge the answers of models, and take up where an earlier run ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from ia2_eval.errors import UserError
from ia2_eval.mtbench.answers import ModelAnswer
from ia2_eval.mtbench.bench import Bench
from ia2_eval.mtbench.judging import pair_matches as pairs
from ia2_eval.mtbench.judging import single_matches as singles
from ia2_eval.mtbench.judging.asking import ask_all
from ia2_eval.mtbench.judging.calls import Opinion
from ia2_eval.mtbench.judging.cost import Plan, print_plan
from ia2_eval.mtbench.judging.judge_settings import JudgeSettings
from ia2_eval.mtbench.judging.judgments import Judgment, PairJudgment
from ia2_eval.mtbench.judging.ledger import Ledger
from ia2_eval.mtbench.judging.matches import Answers, Identity, Match, Row, answers_to, read_all_answers
from ia2_eval.mtbench.judging.progress import watch
from ia2_eval.mtbench.judging.reply_cache import ReplyCache
from ia2_eval.mtbench.judging.tally import Tally
from ia2_eval.mtbench.layout import Layout
from ia2_eval.mtbench.lock import sole_run


@dataclass(frozen=True)
class JudgeOutcome:
    """What a run of the judge did, counted in rows of its file; after a dry run, what it would do."""

    judged: int
    """Asked about in this run, or known already: from the cache, or as another row's request is the same."""
    kept: int
    """From earlier runs."""
    from_cache: int
    failures: tuple[Judgment | PairJudgment, ...]
    calls: int
    """Requests to the endpoint; planned ones after a dry run."""
    path: Path

    @property
    def failed(self) -> int:
        return len(self.failures)


def judge_answers(
    layout: Layout,
    bench: Bench,
    settings: JudgeSettings,
    model_ids: Sequence[str] | None,
    console: Console,
    dry_run: bool = False,
) -> JudgeOutcome:
    """Rate every turn of every answer to the bench, in `model_judgment/<judge>_single.jsonl`.

    A judgment of the very same request is kept if it succeeded; a failed one is asked for again. Those of other
    requests (the answer, the prompt or the settings changed) stand until the run has its first rating, which moves all
    of them to a file of their own; what is asked for once more is taken back from there.

    Args:
        layout: where answers are, and judgments go.
        bench: what was asked.
        settings: of the judge.
        model_ids: whose answers; None for all there are.
        console: for the plan, progress and warnings.
        dry_run: show the plan, ask and write nothing.

    Raises:
        UserError: nothing can be judged, or the judge cannot go on; what was judged is kept.
        KeyboardInterrupt: Ctrl-C; what was judged is kept.
    """
    answers = read_all_answers(layout, bench, model_ids)
    _say_missing(bench, answers, console)
    path = layout.judgments(settings.model, "single")

    def current(ledger: Ledger[Judgment]) -> list[Match[Judgment]]:
        # Judgments of an earlier run with more repeats are as good as any.
        repeats = max([settings.repeats, *(row.repeat + 1 for row in ledger.rows.values())])
        return singles.single_matches(bench, answers, settings, repeats)

    def wanted(match: Match[Judgment]) -> bool:
        return int(match.identity[-1]) < settings.repeats

    return _judge(path, Judgment, singles.identity, current, wanted, settings, console, dry_run)


def judge_pairs(
    layout: Layout,
    bench: Bench,
    settings: JudgeSettings,
    model_ids: Sequence[str] | None,
    baseline: str | None,
    console: Console,
    dry_run: bool = False,
) -> JudgeOutcome:
    """Compare every turn of the answers of two models, in both orders, in `model_judgment/<judge>_pair.jsonl`.

    Of several samples the first alone is compared, as with FastChat.

    Args:
        layout, bench, settings, console, dry_run: as for `judge_answers`.
        model_ids: which models; None for all that have answers.
        baseline: the model that all others are compared with; None: each with each.

    Raises:
        UserError: as for `judge_answers`; or repeats, which FastChat's rows of pairs have no place for.
        KeyboardInterrupt: Ctrl-C; what was judged is kept.
    """
    if settings.repeats > 1:
        raise UserError(f"--repeats {settings.repeats} is for ratings; a pair is judged once in each order")
    if model_ids is not None and baseline is not None:
        model_ids = [*model_ids, baseline]
    answers = read_all_answers(layout, bench, model_ids)
    _say_missing(bench, answers, console)
    samples = max(len(answer.choices) for of_model in answers.values() for answer in of_model.values())
    if samples > 1:
        said = f"pairs are of the first sample alone: of up to {samples} of an answer, the others are not compared"
        console.print(Text(said, style="yellow"), soft_wrap=True)
    path = layout.judgments(settings.model, "pair")

    def current(ledger: Ledger[PairJudgment]) -> list[Match[PairJudgment]]:
        standing = {(row.model_1, row.model_2) for row in (*ledger.rows.values(), *ledger.foreign)}
        return pairs.pair_matches(bench, answers, settings, baseline, standing)

    return _judge(path, PairJudgment, pairs.identity, current, lambda _: True, settings, console, dry_run)


def grade(bench: Bench, answers: Sequence[ModelAnswer], settings: JudgeSettings) -> list[Judgment]:
    """Judgments of every turn of answers, in the order of (model, question, turn, sample, repeat); nothing is written
    but the cache.

    Raises:
        UserError: an answer is to no question of the bench or lacks a turn, or the judge cannot go on.
    """
    by_model: dict[str, list[ModelAnswer]] = {}
    for answer in answers:
        by_model.setdefault(answer.model_id, []).append(answer)
    read = {model: answers_to(bench, model, of_model) for model, of_model in by_model.items()}
    matches = singles.single_matches(bench, read, settings, settings.repeats)
    rows: dict[Identity, Judgment] = {}

    def keep(match: Match[Judgment], row: Judgment) -> None:
        rows[match.identity] = row

    ask_all(matches, settings, keep)
    return [rows[match.identity] for match in matches]


def _judge(
    path: Path,
    kind: type[Row],
    identity: Callable[[Row], Identity],
    current: Callable[[Ledger[Row]], list[Match[Row]]],
    wanted: Callable[[Match[Row]], bool],
    settings: JudgeSettings,
    console: Console,
    dry_run: bool,
) -> JudgeOutcome:
    """Bring a file of judgments up to date.

    Args:
        path: the file.
        kind: of its rows.
        identity: of a row.
        current: all matches that a row of the file may be of today.
        wanted: whether a match is asked for.
        settings, console, dry_run: as for `judge_answers`.
    """
    with _alone(path, dry_run):
        ledger = Ledger(path, kind, identity)
        matches = {match.identity: match for match in current(ledger)}
        _refuse_foreign(ledger, matches)
        ledger.stale = _stale(ledger, matches)
        known = _known(ledger, matches)
        unsettled = {each for each, row in ledger.rows.items() if row.failed or each in ledger.stale}
        good = ledger.rows.keys() & matches.keys() - unsettled
        asked = [match for match in matches.values() if wanted(match)]
        waiting = [match for match in asked if match.identity not in good]
        kept = len(asked) - len(waiting)
        if ledger.stale:
            said = (
                f"{len(ledger.stale)} judgments are of other answers, prompts or settings: they stand until this run "
                f"has its first rating, then move to {ledger.superseded_path.name}"
            )
            console.print(Text(said, style="yellow"), soft_wrap=True)
        if kept:
            console.print(f"{kept:,} of {len(asked):,} are judged", highlight=False)
        cache = ReplyCache(settings.cache) if settings.cache else ()
        calls = {call.key: call for match in waiting for call in match.calls}
        plan = Plan.of(call for call in calls.values() if call.key not in known and call.key not in cache)
        print_plan(plan, settings, console)
        if dry_run:
            return JudgeOutcome(len(waiting), kept, 0, (), plan.calls.total(), path)
        ledger.tidy()
        tally = Tally()
        if waiting:
            with watch(len(waiting), settings, tally, console):
                ask_all(
                    waiting,
                    settings,
                    lambda match, row: ledger.append(row, has_opinion=any(match.recall(row))),
                    tally,
                    known,
                    proven=kept > 0,
                )
        ledger.finish()
        if len(tally.served_by) > 1:
            names = ", ".join(sorted(tally.served_by))
            console.print(Text(f"the endpoint served several models: {names}", style="yellow"), soft_wrap=True)
        rows = {**ledger.rows, **ledger.held}
        failures = tuple(row for match in asked if (row := rows[match.identity]).failed)
        return JudgeOutcome(len(waiting), kept, tally.from_cache, failures, tally.requests, path)


@contextmanager
def _alone(path: Path, dry_run: bool) -> Iterator[None]:
    if dry_run:
        yield
        return
    with sole_run(path.parent / f".{path.stem}", "wait for it, or use another --judge-model or --out"):
        yield


def _refuse_foreign(ledger: Ledger[Row], matches: dict[Identity, Match[Row]]) -> None:
    """
    Raises:
        UserError: what is to be judged has judgments of another program, which would count twice.
    """
    count = sum(ledger.identity(row) in matches for row in ledger.foreign)
    if count:
        raise UserError(
            f"{ledger.path} has {count} judgments of these answers that another program made (they have no key), and "
            "both would be counted: move the file away, or name other models with --model"
        )


def _stale(ledger: Ledger[Row], matches: Mapping[Identity, Match[Row]]) -> dict[Identity, None]:
    """Rows of another request than today's. Those of models and questions that are not asked about are left alone."""
    return dict.fromkeys(each for each, row in ledger.rows.items() if each in matches and row.key != matches[each].key)


def _known(ledger: Ledger[Row], matches: Mapping[Identity, Match[Row]]) -> dict[str, Opinion[Any]]:
    """What the files hold of the judge's opinions, by the key of their call: of failed pairs there may be one."""
    by_key = {match.key: match for match in matches.values()}
    return {
        call.key: opinion
        for row in (*ledger.superseded.values(), *ledger.rows.values())
        if row.key is not None and (match := by_key.get(row.key)) is not None
        for call, opinion in zip(match.calls, match.recall(row), strict=True)
        if opinion is not None
    }


def _say_missing(bench: Bench, answers: Mapping[str, Answers], console: Console) -> None:
    by_count: dict[int, list[str]] = {}
    for model, of_model in answers.items():
        by_count.setdefault(len(of_model), []).append(model)
    for count, models in sorted(by_count.items()):
        if count < len(bench.questions):
            names = ", ".join(models[:3]) + (f" and {len(models) - 3} more" if len(models) > 3 else "")
            said = f"answers to {count} of {len(bench.questions)} questions, which are judged: {names}"
            console.print(Text(said, style="yellow"), soft_wrap=True)
