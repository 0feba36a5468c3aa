"""Which figures a leaderboard has, and how they are written."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ia2_eval.atomic import write_atomically
from ia2_eval.leaderboard.figures.accuracy_plot import accuracy_figure
from ia2_eval.leaderboard.figures.reliability_plot import reliability_figure
from ia2_eval.leaderboard.results.aggregate import Row, training_sizes
from ia2_eval.leaderboard.results.groups import Group
from ia2_eval.leaderboard.results.reliability import CONFIDENCES, Reliability, pool
from ia2_eval.leaderboard.results.results import Results
from ia2_eval.leaderboard.results.summary import describe_intervals
from ia2_eval.leaderboard.style import RC_PARAMS, Column, MethodStyle, column_styles
from ia2_eval.leaderboard.tables.table import Section, eval_title, places, sections
from ia2_eval.scoring.calibration import BINS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Drawn(NamedTuple):
    paths: tuple[Path, ...]
    faults: tuple[str, ...]  # sample files that cannot be used


def draw_figures(results: Results, directory: Path, groups: Sequence[Group], rows: Sequence[Row]) -> Drawn:
    """Draws `accuracy_vs_n[_ood]` and `reliability_<source>_to_<eval>`, each as PNG and SVG, in a folder per section.

    Args:
        results: where the samples are.
        directory: where the folders go.
        groups: all of the run.
        rows: all of the run.
    """
    paths: list[Path] = []
    faults: list[str] = []
    styles = column_styles(group.column for group in groups)
    for section in sections(groups):
        folder = directory / re.sub(r"[^\w.-]+", "_", "_".join(filter(None, section)))
        of_section = section.groups(groups)
        reliability = _draw_reliability(results, folder, section, of_section, styles)
        paths += [*_draw_accuracy(folder, section, of_section, section.rows(rows), styles), *reliability.paths]
        faults += reliability.faults
    return Drawn(tuple(paths), tuple(dict.fromkeys(faults)))  # an untrained method may stand in several sections


def _draw_accuracy(
    folder: Path,
    section: Section,
    groups: Sequence[Group],
    rows: Sequence[Row],
    styles: Mapping[Column, MethodStyle],
) -> list[Path]:
    headline = [
        row
        for row in rows
        if row.selection in section.selections and row.metric == groups[0].headline(row.eval).accuracy
    ]
    paths = []
    for name, ood in (("accuracy_vs_n", False), ("accuracy_vs_n_ood", True)):
        shown = [row for row in headline if row.ood == ood]
        if shown:
            intervals = describe_intervals(row.interval for row in shown)
            what = "mean and 95 % interval " + ",\n".join(intervals) if intervals else "mean"
            of_vocabulary = sorted({row.metric for row in shown} - {"acc"})  # `acc` needs no explanation
            lines = [section.title, what, *(f"accuracy of single tokens: {metric}" for metric in of_vocabulary)]
            paths += write_figure(partial(accuracy_figure, shown, styles, "\n".join(lines)), folder / name)
    return paths


def _draw_reliability(
    results: Results,
    folder: Path,
    section: Section,
    groups: Sequence[Group],
    styles: Mapping[Column, MethodStyle],
) -> Drawn:
    sizes: dict[tuple[str, str], list[int | None]] = {}
    for place in (*places(groups, single_token=True), *places(groups, single_token=False)):
        sizes.setdefault((place.source, place.eval), []).append(place.n)
    paths: list[Path] = []
    faults: list[str] = []
    for (source, benchmark), at in sizes.items():
        diagrams: dict[tuple[int | None, Column], Reliability] = {}
        of_source = [group for group in groups if group.source == source]
        columns = {c: style for c, style in styles.items() if any(group.column == c for group in of_source)}
        for group in of_source:
            reliability, sample_faults = pool(results, group, benchmark)
            faults += sample_faults
            if reliability is not None:
                diagrams |= {(size, group.column): reliability for size in training_sizes(groups, group)}
        if any(diagram.bins for diagram in diagrams.values()):
            to = "" if benchmark == source else f" → {eval_title(source, benchmark)}"
            title = f"{eval_title(source, source)}{to} · {section.title}"
            reported = of_source[0].headline(benchmark)
            confidence = f"{CONFIDENCES[reported.confidence]}, {BINS} {reported.bins} bins"
            if reported.bins == "equal-mass":
                confidence += " (points: narrow ones)"
            draw = partial(reliability_figure, diagrams, at, columns, title, confidence)
            paths += write_figure(draw, folder / f"reliability_{source}_to_{benchmark}")
    return Drawn(tuple(paths), tuple(faults))


def write_figure(draw: Callable[[], Figure], stem: Path) -> list[Path]:
    """Draws a figure in the house style and writes `stem.png` and `stem.svg`, whose bytes depend on the figure only."""
    import matplotlib

    paths = []
    with matplotlib.rc_context(RC_PARAMS):
        figure = draw()
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # the layout is done: once, not for each format
        for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None})):
            picture = io.BytesIO()
            figure.savefig(picture, format=suffix[1:], dpi=160, metadata=metadata)
            paths.append(write_atomically(stem.parent / (stem.name + suffix), picture.getvalue()))
    return paths
