"""A board's tables: scores, scores per category, degeneration; one row per model, prompt set and decoding setting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import isnan

from ia2_eval.leaderboard.tables.table import ABSENT, Stack, Table
from ia2_eval.mtbench.boards.rows import answered, base_name, judged
from ia2_eval.mtbench.generation.answer_settings import AnswerSettings
from ia2_eval.mtbench.reports.captions import origin, rows_left_out, too_narrow
from ia2_eval.mtbench.reports.degeneration import NGRAM, Measure
from ia2_eval.mtbench.reports.estimates import INTERVAL, Estimate
from ia2_eval.mtbench.reports.results import Results
from ia2_eval.mtbench.reports.scores import ModelScores, Part

KEYS: tuple[Stack, ...] = (("model",), ("prompts", "decoding"))
VALUES: Stack = ("score", "95 %", "n")
DEGENERATION: dict[Measure, str] = {
    "repetition": "repetition",
    "words": "words",
    "truncated": "truncated %",
    "empty": "empty %",
}

LONGEST_NAME = 36
"""Characters of a model's name, beyond which its middle is left out; the CSV has all of it."""

Settings = Mapping[str, AnswerSettings]


def board_tables(bench: str, results: Results, settings: Settings) -> Iterator[Table]:
    """Scores by each judge in tables of its own, then degeneration, which needs none."""
    keys = row_keys([*results.degeneration, *(scored.model for scored in results.scored)], settings)
    for judge in results.judges:
        yield from _of_judge(bench, judge, results, keys)
    if results.degeneration:
        yield _degeneration(bench, results, keys)


def row_keys(models: Sequence[str], settings: Settings) -> dict[str, tuple[Stack, Stack]]:
    """Model, prompt set and decoding of each; the base stands for the id of a model without
    adapter, where the three together tell all apart.

    Args:
        models: of a bench.
        settings: of those whose answers this package made.
    """
    said: dict[str, tuple[Stack, Stack]] = {}
    for model in dict.fromkeys(models):
        made = settings.get(model)
        how = (ABSENT, ABSENT) if made is None else (made.prompt_set or "chat", made.decoding.name)
        said[model] = ((model if made is None or made.adapter else base_name(made),), how)
    counts = Counter(said.values())
    told = {model: key if counts[key] == 1 else ((model,), key[1]) for model, key in said.items()}
    short = {model: (tuple(map(_shortened, name)), how) for model, (name, how) in told.items()}
    return short if len(set(short.values())) == len(set(told.values())) else told


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 13]}…{name[-12:]}"


def _of_judge(bench: str, judge: str, results: Results, keys: Mapping[str, tuple[Stack, Stack]]) -> Iterator[Table]:
    scored = results.of_judge(judge)
    turns = sorted({part.turn for of_model in scored for part in of_model.parts if part.turn is not None})
    categories = tuple(dict.fromkeys(part.category for m in scored for part in m.parts if part.category))
    total = sum(len(of_model.rated) + of_model.n_failed for of_model in scored)
    questions = max((of_model.average.questions for of_model in scored if of_model.average), default=0)
    identity = (*origin(judge, scored), _how_judged(scored))
    title = f"MT-Bench · {bench} · judge {judge}"
    yield Table(
        title=title,
        keys=KEYS,
        columns=("average", *(f"turn {turn}" for turn in turns)),
        values=VALUES,
        rows=tuple((*keys[m.model], *(_score(m.part(turn)) for turn in (None, *turns))) for m in scored),
        caption=(
            *identity,
            f"Ratings from 1 to 10; average: over all rated answers (as FastChat), whose number is n, to up to "
            f"{questions} questions. 95 %: {INTERVAL}.",
            rows_left_out(scored, results.duplicates, total),
            *filter(None, [too_narrow(questions)]),
        ),
    )
    if categories:
        yield Table(
            title=f"{title} · per category",
            keys=KEYS,
            columns=categories,
            values=VALUES,
            rows=tuple((*keys[m.model], *(_score(m.part(category=name)) for name in categories)) for m in scored),
            caption=(*identity, f"All turns; n: rated answers. 95 %: {INTERVAL}; over ten questions it is too narrow."),
        )


def _how_judged(scored: Sequence[ModelScores]) -> str:
    """What is recorded of the judge besides its name: prompts and repeats."""
    rows = [judged(answered("", of_model.model, {}), of_model) for of_model in scored]
    prompts = sorted({name for row in rows for name in (row.judge_prompts or "").split()})
    repeats = sorted({row.repeats for row in rows if row.repeats})
    times = " to ".join(map(str, dict.fromkeys((repeats[0], repeats[-1])))) if repeats else "0"
    return f"Judge prompts: {', '.join(prompts) or 'not known'}. Ratings of one answer: {times}."


def _degeneration(bench: str, results: Results, keys: Mapping[str, tuple[Stack, Stack]]) -> Table:
    rows = tuple(
        (
            *keys[model],
            *(
                stack(found.part(name), {"repetition": 3}.get(name, 1), name in ("truncated", "empty"))
                for name in DEGENERATION
            ),
        )
        for model, found in results.degeneration.items()
    )
    return Table(
        title=f"MT-Bench · {bench} · degeneration, without a judge",
        keys=KEYS,
        columns=tuple(DEGENERATION.values()),
        values=("mean", "95 %", "n"),
        rows=rows,
        caption=(
            f"Means over n answers (each turn and sample counted). Repetition: share of an answer's word {NGRAM}-grams "
            f"that were there before. Truncated: came to the greatest length. 95 %: {INTERVAL}. {ABSENT}: not known.",
        ),
    )


def _score(part: Part) -> Stack:
    value, interval, n = stack(part.score, 2)
    return value, interval, f"{n}, {part.n_failed} failed" if part.n_failed else n


def stack(estimate: Estimate | None, digits: int, per_cent: bool = False) -> Stack:
    if estimate is None:
        return ABSENT, ABSENT, "0"
    scale = 100 if per_cent else 1
    value, lower, upper = (f"{scale * number:.{digits}f}" for number in estimate[:3])
    return value, ABSENT if isnan(estimate.lower) else f"{lower}–{upper}", str(estimate.n)
