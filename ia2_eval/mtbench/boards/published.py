"""URIAL's published scores, and others of the same models, beside ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath

from ia2_eval.errors import UserError
from ia2_eval.leaderboard.published.read import PublishedScore, published_scores
from ia2_eval.leaderboard.tables.table import ABSENT, Stack, Table
from ia2_eval.mtbench.boards.gather import MT_BENCH
from ia2_eval.mtbench.boards.rows import BoardRow
from ia2_eval.mtbench.boards.tables import row_keys, stack
from ia2_eval.mtbench.generation.answer_settings import AnswerSettings
from ia2_eval.mtbench.generation.decoding_settings import DecodingSettings
from ia2_eval.mtbench.reports.captions import WARNING, origin
from ia2_eval.mtbench.reports.results import Results
from ia2_eval.mtbench.reports.scores import ModelScores
from ia2_eval.mtbench.reports.sources import MT_BENCH_CATEGORIES, MT_BENCH_IDS

ORIGINS = {
    "urial_table": "URIAL, table",
    "urial_figure": "URIAL, figure",
    "lmsys": "FastChat",
    "recomputed": "recomputed",
    "reported": "reported",
    "rerun": "run again",
}
KEYS: tuple[Stack, ...] = (("whose", "judge"), ("prompts", "decoding"))
VALUES: Stack = ("score", "95 %")
COLUMNS = ("average", "turn 1", "turn 2")
NOT_COMPARABLE = (
    f"{WARNING} scores compare only where judge, its version, prompts, references and time are the same: one judge's "
    "name gave 6.10 and seven months later 5.47 for the same 160 answers. Nothing is ranked here."
)


def published_beside(
    results: Results | None, settings: Mapping[str, AnswerSettings], ids: Mapping[str, str]
) -> tuple[list[Table], list[BoardRow]]:
    """A table for each of our bases that has published scores, and the published numbers as rows.

    Args:
        results: of MT-Bench's own questions; None where no model has answered them.
        settings: of those models whose answers this package made.
        ids: of all models, in the files.

    Raises:
        UserError: no scored model has published scores.
    """
    by_base: dict[str, list[PublishedScore]] = {}
    for score in published_scores():
        if score.base is not None:
            by_base.setdefault(score.base, []).append(score)
    scored = results.scored if results else ()
    ours: dict[str, list[ModelScores]] = {}
    for of_model in scored:
        ours.setdefault(_base(of_model.model, settings, ids), []).append(of_model)
    matched = [base for base in ours if base in by_base]
    if not matched:
        there = f"judged here on MT-Bench's questions: {', '.join(sorted(ours)) or 'none'}"
        raise UserError(
            f"--published: no published scores of these models ({there}). There are of {', '.join(by_base)}"
        )
    tables = [_table(base, ours[base], by_base[base], settings) for base in matched]
    return tables, [row for base in matched for score in by_base[base] for row in _rows(score)]


def _base(model: str, settings: Mapping[str, AnswerSettings], ids: Mapping[str, str]) -> str:
    """Last part of the base's name; of answers of other origin, their model id."""
    return PurePath(settings[model].model.base).name if model in settings else ids[model]


def _table(
    base: str, ours: Sequence[ModelScores], published: Sequence[PublishedScore], settings: Mapping[str, AnswerSettings]
) -> Table:
    keys = row_keys([of_model.model for of_model in ours], settings)
    rows = [_our_row(of_model, base, keys[of_model.model], settings) for of_model in ours]
    rows += [
        (
            (ORIGINS[score.origin], f"{score.judge}{f' {score.judged}' if score.judged else ''}"),
            (score.prompts or ABSENT, decoding_name(score)),
            *(
                (ABSENT if value is None else f"{value:.2f}", ABSENT)
                for value in (score.average, score.turn_1, score.turn_2)
            ),
        )
        for score in published
    ]
    answered = sorted({of_model.average.questions for of_model in ours if of_model.average})
    judges = {of_model.judge: [each for each in ours if each.judge == of_model.judge] for of_model in ours}
    return Table(
        title=f"MT-Bench · {base} beside published scores",
        keys=KEYS,
        columns=COLUMNS,
        values=VALUES,
        rows=tuple(rows),
        caption=(
            NOT_COMPARABLE,
            *(line for judge, of_judge in judges.items() for line in origin(judge, of_judge)),
            f"Ours: over {' to '.join(map(str, dict.fromkeys((answered[0], answered[-1])))) if answered else 'no'} of "
            f"{len(MT_BENCH_IDS)} questions, published: over all. SE of a model's average over all: 0.31 to 0.36.",
            *_remarks(published),
            "Sources: mtbench.csv; remarks: leaderboards/published/README.md.",
        ),
    )


def _our_row(
    of_model: ModelScores, base: str, key: tuple[Stack, Stack], settings: Mapping[str, AnswerSettings]
) -> tuple[Stack, ...]:
    scores = (of_model.average, of_model.part(1).score, of_model.part(2).score)
    made = settings.get(of_model.model)
    told = made is None or made.adapter is not None  # else the title names it
    whose = f"ours, {of_model.model}" if told and of_model.model != base else "ours"
    return ((whose, of_model.judge), key[1], *(stack(score, 2)[:2] for score in scores))


def _remarks(published: Sequence[PublishedScore]) -> Iterator[str]:
    for score in published:
        told = [*score.remarks, *(f"{name} inferred" for name in score.inferred)]
        if told:
            words = ", ".join(told).replace("_", " ")
            yield f"{ORIGINS[score.origin]}, {score.model}, {score.average:.2f}: {words}."


def decoding_name(score: PublishedScore) -> str:
    """As our settings are called, such as `t0_rp1.15_max2048`."""
    if score.temperature is None:
        return ABSENT
    known = {
        "temperature": score.temperature,
        "top_p": score.top_p,
        "repetition_penalty": score.repetition_penalty,
        "max_new_tokens": score.max_new_tokens,
    }
    return DecodingSettings.model_validate({name: value for name, value in known.items() if value is not None}).name


def _rows(score: PublishedScore) -> Iterator[BoardRow]:
    head = BoardRow(
        origin="published",
        bench=MT_BENCH,
        judge=score.judge,
        first_judged=score.judged,
        last_judged=score.judged,
        model=score.model,
        base=score.base,
        prompts=score.prompts,
        temperature=f"{score.temperature:g}" if isinstance(score.temperature, float) else score.temperature,
        top_p=score.top_p,
        repetition_penalty=score.repetition_penalty,
        max_new_tokens=score.max_new_tokens,
        quantity="score",
        source=f"{score.origin}: {score.source}",
        inferred=" ".join(score.inferred) or None,
        remarks=" ".join(score.remarks) or None,
    )
    yield replace(head, value=score.average, n=score.n)
    for turn, value in ((1, score.turn_1), (2, score.turn_2)):
        if value is not None:
            yield replace(head, turn=turn, value=value)
    for category in MT_BENCH_CATEGORIES:
        if (value := getattr(score, category)) is not None:
            yield replace(head, category=category, value=value)
