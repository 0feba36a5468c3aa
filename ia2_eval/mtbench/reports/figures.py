"""The heat maps of a report: settings, and settings by category."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from ia2_eval.leaderboard.figures.write import write_figure
from ia2_eval.mtbench.layout import file_name
from ia2_eval.mtbench.reports.captions import not_corrected, origin, too_narrow
from ia2_eval.mtbench.reports.degeneration import NGRAM
from ia2_eval.mtbench.reports.estimates import INTERVAL, Estimate
from ia2_eval.mtbench.reports.heat_map import REPETITION, SCORE, Cell, Panel, Scale, heat_map
from ia2_eval.mtbench.reports.results import Results
from ia2_eval.mtbench.reports.settings import Grid, Value, grid, in_order, labels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Place = tuple[str, int | None, str | None]
"""Model id, turn and category; None for all of them."""
LONGEST = 36
"""Characters of a name."""
MOST_COLUMNS = 16
"""Side by side; panels with more stand one above the other."""


@dataclass(frozen=True)
class _Values:
    """What a figure shows."""

    at: Callable[[Place], Estimate | None]
    models: tuple[str, ...]
    scale: Scale
    digits: int
    title: str
    said: str
    """Of where the values come from."""
    reference: str | None = None
    different: frozenset[tuple[str, int | None]] = frozenset()
    """Model ids and turns that differ from the reference."""


def draw_figures(results: Results, directory: Path) -> tuple[Path, ...]:
    """`heat_map` and `categories`, each as PNG and SVG: of scores, once for each judge (whose name is in the file's if
    there are several), or of repetition rates where nothing is judged."""
    paths: list[Path] = []
    for judge in results.judges:
        suffix = f"_{file_name(judge)}" if len(results.judges) > 1 else ""
        for name, draw in _figures(results, _scores(results, judge)):
            paths += write_figure(draw, directory / (name + suffix))
    if not results.judges and results.degeneration:
        for name, draw in _figures(results, _repetition(results)):
            paths += write_figure(draw, directory / name)
    return tuple(paths)


def _scores(results: Results, judge: str) -> _Values:
    scored = {of_model.model: of_model for of_model in results.of_judge(judge)}
    failed = sum(of_model.n_failed for of_model in scored.values())
    different = (d for d in results.differences if d.judge == judge and d.estimate.excludes_zero)
    return _Values(
        at=lambda place: scored[place[0]].part(*place[1:]).score,
        models=_in_order(results, tuple(scored)),
        scale=SCORE,
        digits=2,
        title=f"Score by {judge}",
        said=" ".join([f"Failed judgments: {failed}, in no mean.", *origin(judge, tuple(scored.values()))]),
        reference=results.references.get(judge),
        different=frozenset((d.model, d.turn) for d in different),
    )


def _repetition(results: Results) -> _Values:
    return _Values(
        at=lambda place: results.degeneration[place[0]].part("repetition", *place[1:]),
        models=_in_order(results, tuple(results.degeneration)),
        scale=REPETITION,
        digits=3,
        title="Repetition rate",
        said=f"Share of an answer's word {NGRAM}-grams that were there before. Nothing is judged.",
    )


def _in_order(results: Results, models: Sequence[str]) -> tuple[str, ...]:
    """By their settings; those without behind, as they come."""
    known = in_order(results.settings[model] for model in models if model in results.settings)
    return tuple(dict.fromkeys([*(setting.model_id for setting in known), *models]))


def _figures(results: Results, values: _Values) -> Iterator[tuple[str, Callable[[], Figure]]]:
    settings = tuple(results.settings[model] for model in values.models if model in results.settings)
    complete = len(settings) == len(values.models)
    names = labels(settings) if complete else {}
    rows = tuple(_row_name(model, names, values) for model in values.models)
    turns = [turn for turn in (1, 2) if any(values.at((model, turn, None)) for model in values.models)]
    columns = (None, *turns) if len(turns) > 1 else (None,)
    of_grid = grid(settings) if complete else None
    if of_grid is None:
        panels = [[_table(values, rows, tuple(map(_turn_name, columns)), [(turn, None) for turn in columns])]]
        what = "per setting" if names else "per model"
    else:
        panels = _grid_panels(of_grid, columns, values)
        if len(panels) == 1 and len(columns) * len(of_grid.columns.values) > MOST_COLUMNS:
            panels = [[panel] for panel in panels[0]]
        what = " × ".join(axis.name for axis in (of_grid.rows, of_grid.columns, of_grid.panels) if axis)
    caption = _caption(values, [(model, turn, None) for model in values.models for turn in columns])
    yield "heat_map", partial(heat_map, panels, values.scale, f"{values.title}: {what}", caption)
    if categories := _categories(results):
        panels = [[_table(values, rows, categories, [(None, category) for category in categories])]]
        caption = _caption(values, [(model, None, name) for model in values.models for name in categories])
        yield "categories", partial(heat_map, panels, values.scale, f"{values.title}: per category, all turns", caption)


def _table(
    values: _Values, rows: tuple[str, ...], names: tuple[str, ...], columns: Sequence[tuple[int | None, str | None]]
) -> Panel:
    """A row for each model."""
    return Panel(
        "", rows, names, tuple(tuple(_cell(values, (model, *column)) for column in columns) for model in values.models)
    )


def _grid_panels(of_grid: Grid, turns: Sequence[int | None], values: _Values) -> list[list[Panel]]:
    """A line of panels for each value of the third axis, a panel for each turn."""
    rows, columns = (tuple(map(_short, axis.values)) for axis in (of_grid.rows, of_grid.columns))
    lines = []
    for at in of_grid.panels.values if of_grid.panels else (None,):
        models = [
            [of_grid.places.get((row, column, at)) for column in of_grid.columns.values] for row in of_grid.rows.values
        ]
        where = f", {of_grid.panels.name} {_short(at)}" if of_grid.panels and at is not None else ""
        lines.append(
            [
                Panel(
                    title=_turn_name(turn) + where,
                    rows=rows,
                    columns=columns,
                    cells=tuple(tuple(_cell(values, (m, turn, None)) if m else None for m in row) for row in models),
                    row_name=of_grid.rows.name,
                    column_name=of_grid.columns.name,
                )
                for turn in turns
            ]
        )
    return lines


def _cell(values: _Values, place: Place) -> Cell | None:
    estimate = values.at(place)
    if estimate is None:
        return None
    model, turn, category = place
    others = [other.value for name in values.models if (other := values.at((name, turn, category)))]
    star = "*" if category is None and (model, turn) in values.different else ""
    best = values.scale is SCORE and len(others) > 1 and estimate.value == max(others)
    return Cell(estimate.value, f"{estimate.value:.{values.digits}f}{star}", best)


def _caption(values: _Values, places: Sequence[Place]) -> str:
    estimates = [estimate for place in places if (estimate := values.at(place))]
    n = sorted({estimate.n for estimate in estimates})
    said = f"n = {'–'.join(map(str, dict.fromkeys((n[0], n[-1]))))} a cell" if n else "No values"
    if half := [(e.upper - e.lower) / 2 for e in estimates if e.upper >= e.lower]:
        said += f"; {INTERVAL}: typically ±{median(half):.{values.digits}f}"
    parts = [said + ".", *filter(None, [too_narrow(max((e.questions for e in estimates), default=0))])]
    if values.scale is SCORE and len(values.models) > 1:
        parts.append("Bold: the highest, chosen on these questions, so too high.")
    starred = any(category is None and (model, turn) in values.different for model, turn, category in places)
    if values.reference is not None and starred:
        parts.append(
            f"*: differs from {_shortened(values.reference)} (paired interval without 0; "
            f"{not_corrected(len(values.models) - 1)})."
        )
    return " ".join([*parts, values.said])


def _categories(results: Results) -> tuple[str, ...]:
    of_scores = [part.category for of_model in results.scored for part in of_model.parts]
    of_answers = [part.category for found in results.degeneration.values() for part in found.parts]
    return tuple(dict.fromkeys(category for category in of_scores or of_answers if category))


def _row_name(model: str, names: Mapping[str, str], values: _Values) -> str:
    return _shortened(names.get(model, model)) + (" (reference)" if model == values.reference else "")


def _shortened(name: str) -> str:
    """The middle of a long name is left out."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST // 2]}…{name[-LONGEST // 2 :]}"


def _turn_name(turn: int | None) -> str:
    return "all turns" if turn is None else f"turn {turn}"


def _short(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:g}"
