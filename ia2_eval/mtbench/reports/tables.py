"""A report as tables for readers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isnan
from typing import NamedTuple

from ia2_eval.mtbench.reports.agreement import Agreement
from ia2_eval.mtbench.reports.captions import intervals, not_corrected, origin, rows_left_out, too_narrow
from ia2_eval.mtbench.reports.degeneration import MEASURES, NGRAM
from ia2_eval.mtbench.reports.estimates import INTERVAL, Estimate
from ia2_eval.mtbench.reports.paired import FEWEST
from ia2_eval.mtbench.reports.pairwise import RATES, PairScores
from ia2_eval.mtbench.reports.results import Results
from ia2_eval.mtbench.reports.scores import ModelScores
from ia2_eval.mtbench.reports.settings import labels

Cell = tuple[str, ...]
"""A value, and where it has one its interval: side by side, or one above the other."""

NOT_KNOWN: Cell = ("–",)


class Table(NamedTuple):
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    """The first cell is a name."""
    caption: tuple[str, ...]


def tables(results: Results) -> tuple[Table, ...]:
    found: list[Table] = []
    for judge in results.judges:
        found += _of_judge(results, judge)
    for judge in dict.fromkeys(scored.judge for scored in results.pairs):
        found.append(_pairs([scored for scored in results.pairs if scored.judge == judge], judge, results))
    if results.degeneration:
        found.append(_degeneration(results))
    if results.agreements:
        found.append(_agreement(results.agreements))
    return tuple(_shortened(found, results))


def _shortened(found: Sequence[Table], results: Results) -> Iterator[Table]:
    """With short names in place of long model ids, where all answers are this package's own."""
    models = {*results.degeneration, *(of_model.model for of_model in results.scored)}
    settings = [results.settings[model] for model in results.settings if model in models]
    names = labels(settings) if len(settings) == len(models) > 1 else {}
    if all(name == model for model, name in names.items()):
        yield from found
        return
    longest = sorted(names, key=len, reverse=True)  # a model id may begin with another one

    def short(text: str) -> str:
        model = next((model for model in longest if text == model or text.startswith(f"{model} (")), None)
        return text if model is None else names[model] + text[len(model) :]

    said = f"Names are those of the decoding; the model id of {names[longest[0]]} is {longest[0]}."
    for table in found:
        rows = tuple(tuple(tuple(map(short, cell)) for cell in row) for row in table.rows)
        yield table._replace(rows=rows, caption=(*table.caption, said) if table is found[0] else table.caption)


def shown(estimate: Estimate | None, digits: int = 2, signed: bool = False, per_cent: bool = False) -> Cell:
    """Value and interval."""
    if estimate is None:
        return NOT_KNOWN
    scale = 100 if per_cent else 1
    sign = "+" if signed else ""
    value, lower, upper = (f"{scale * number:{sign}.{digits}f}" for number in estimate[:3])
    return (value,) if isnan(estimate.lower) else (value, f"[{lower}, {upper}]")


def _of_judge(results: Results, judge: str) -> Iterator[Table]:
    scored = results.of_judge(judge)
    turns = sorted({part.turn for of_model in scored for part in of_model.parts if part.turn is not None})
    categories = tuple(dict.fromkeys(part.category for m in scored for part in m.parts if part.category))
    total = sum(len(of_model.rated) + of_model.n_failed for of_model in scored)
    questions = max((of_model.average.questions for of_model in scored if of_model.average), default=0)
    rows = tuple(
        (
            (of_model.model,),
            *(shown(of_model.part(turn).score) for turn in (None, *turns)),
            (str(len(of_model.rated)),),
            (str(of_model.n_failed),),
        )
        for of_model in scored
    )
    yield Table(
        f"Scores by {judge}",
        ("model", "average", *(f"turn {turn}" for turn in turns), "rated", "failed"),
        rows,
        (
            "Ratings from 1 to 10; average: over all rated rows (as FastChat)."
            + intervals(rows, f"{INTERVAL} (up to {questions})"),
            rows_left_out(scored, results.duplicates, total),
            *origin(judge, scored),
            *filter(None, [too_narrow(questions)]),
        ),
    )
    yield from _differences(results, judge, turns)
    if categories:
        ns = sorted({score.n for of_model in scored for score in of_model.categories.values()})
        rows = tuple(
            ((of_model.model,), *(shown(of_model.categories.get(category)) for category in categories))
            for of_model in scored
        )
        n = " to ".join(map(str, dict.fromkeys((ns[0], ns[-1])))) if ns else ""
        caption = f"All turns; n = {n} rated rows.{intervals(rows)}" if ns else "No row is rated."
        yield Table(f"Scores by {judge}, per category", ("model", *categories), rows, (caption,))
    yield from _best(results, judge)
    yield from _noise(scored, judge)


def _differences(results: Results, judge: str, turns: Sequence[int]) -> Iterator[Table]:
    found = {(d.model, d.turn): d.estimate for d in results.differences if d.judge == judge}
    if not found:
        return
    models = [of_model.model for of_model in results.of_judge(judge) if (of_model.model, None) in found]
    rows = tuple(
        (
            (model,),
            *(shown(found.get((model, turn)), signed=True) for turn in (None, *turns)),
            (str(found[model, None].n),),
        )
        for model in models
    )
    yield Table(
        f"Difference from {results.references[judge]}, judge {judge}",
        ("model", "average", *(f"turn {turn}" for turn in turns), "pairs"),
        rows,
        (
            "Paired: over the turns of questions that both have ratings for (pairs)."
            + intervals(rows, f"{INTERVAL}, {not_corrected(len(models))}"),
        ),
    )


def _best(results: Results, judge: str) -> Iterator[Table]:
    found = [best for best in results.best if best.judge == judge]
    if not found:
        return
    yield Table(
        f"Best per category, judge {judge}",
        ("category", "best", "score", "n", "of", "optimism"),
        tuple(
            (
                (best.category or "all",),
                (best.model + (f" (and {best.tied} with the same)" if best.tied else ""),),
                shown(best.score),
                (str(best.score.n),),
                (str(best.candidates),),
                NOT_KNOWN if best.optimism is None else (f"{best.optimism:.2f}",),
            )
            for best in found
        ),
        (
            "Chosen after the fact, on the questions that it is reported for: the score is biased upwards, and its "
            "interval does not know. Optimism: about by how much (bootstrap of the maximum), rather too little; "
            f"not told of fewer than {FEWEST} questions. Take the choice to other questions before it is believed.",
        ),
    )


def _noise(scored: Sequence[ModelScores], judge: str) -> Iterator[Table]:
    if not any(of_model.noise for of_model in scored):
        return
    rows: list[tuple[Cell, ...]] = []
    for of_model in scored:
        if (noise := of_model.noise) is not None:
            values = (f"{noise.deviation:.2f}", f"{100 * noise.changed:.0f} %", f"{noise.standard_error:.3f}")
            rows.append(((of_model.model,), (str(noise.answers),), *((value,) for value in values)))
    yield Table(
        f"Noise of {judge} itself",
        ("model", "answers", "SD", "changed", "SE of average"),
        tuple(rows),
        (
            "From answers (each turn counted) with several ratings: SD of a rating within an answer, share of answers "
            "with different ratings, and what this noise alone puts on the average.",
        ),
    )


def _pairs(scored: Sequence[PairScores], judge: str, results: Results) -> Table:
    matches = sum(m.wins + m.losses + m.ties + m.n_failed for m in scored)
    whose = f"matches against {results.baseline}" if results.baseline else "matches of each model against all others"
    rows = tuple(
        (
            (m.model,),
            *((str(count),) for count in (m.wins, m.losses, m.ties, m.n_failed)),
            *(shown(m.rate(rate)) for rate in RATES),
        )
        for m in scored
    )
    return Table(
        f"Pairwise by {judge}",
        ("model", "win", "loss", "tie", "failed", *(rate.replace("_", " ") for rate in RATES)),
        rows,
        (
            f"Over {whose}. Each is judged in both orders; verdicts that differ make a tie (as FastChat), half a win "
            "in the adjusted rate. Consistency: both orders agree. First position: share of the verdicts other than "
            "ties for the answer shown first; 0.5 without position bias.",
            f"{intervals(rows)} {rows_left_out(scored, results.duplicates, matches)}".strip()
            + ("" if results.baseline else " Each match counts for both its models."),
            *origin(judge, scored),
        ),
    )


def _degeneration(results: Results) -> Table:
    rows = []
    for model, found in results.degeneration.items():
        cells = []
        for measure in MEASURES:
            share = measure in ("truncated", "empty")
            digits = 3 if measure == "repetition" else 1
            cells.append(shown(found.part(measure), digits, per_cent=share))
        answers = found.part("words")
        rows.append(((model,), *cells, (str(answers.n if answers else 0),)))
    names = {"truncated": "truncated %", "empty": "empty %"}
    return Table(
        "Degeneration, without a judge",
        ("model", *(names.get(measure, measure) for measure in MEASURES), "n"),
        tuple(rows),
        (
            f"Means over n answers (each turn and sample counted). Repetition: share of an answer's word {NGRAM}-grams "
            f"that were there before. Per turn and category: CSV.{intervals(rows)}",
        ),
    )


def _agreement(found: Sequence[Agreement]) -> Table:
    def number(value: float | None, form: str = ".3f") -> Cell:
        return NOT_KNOWN if value is None else (f"{value:{form}}",)

    rows = tuple(
        (
            (a.model or "all models",),
            (a.judge_a,),
            (a.judge_b,),
            (str(a.n),),
            number(a.exact, ".1%"),
            number(a.within_one, ".1%"),
            *(number(value) for value in (a.pearson, a.spearman, a.kendall, a.kendall_models)),
            shown(a.shift, signed=True),
        )
        for a in found
    )
    return Table(
        "Agreement of judges",
        ("answers of", "A", "B", "n", "exact", "within 1", "Pearson", "Spearman", "tau", "tau of models", "B - A"),
        rows,
        (
            "Over answers (each turn counted) that both rated; several ratings of a judge are averaged first. tau: "
            f"Kendall's tau-b of the ratings, and of the models' averages. B - A: mean shift.{intervals(rows)}",
        ),
    )
