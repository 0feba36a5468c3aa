"""Which figures a leaderboard has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ia2_eval.benchmarks import get_benchmark
from ia2_eval.leaderboard.figures.methods_plot import Panel, methods_figure
from ia2_eval.leaderboard.figures.metric_plot import ACCURACY, CALIBRATION, Axis, metric_figure, pair_title
from ia2_eval.leaderboard.figures.reliability_plot import reliability_figure
from ia2_eval.leaderboard.figures.write import Drawing, write_figures
from ia2_eval.leaderboard.results.aggregate import Row, training_sizes
from ia2_eval.leaderboard.results.groups import Group
from ia2_eval.leaderboard.results.reliability import CONFIDENCES, Reliability, pool
from ia2_eval.leaderboard.results.results import Results
from ia2_eval.leaderboard.results.summary import describe_intervals
from ia2_eval.leaderboard.style import Column, MethodStyle, column_styles
from ia2_eval.leaderboard.tables.table import Section, places, sections
from ia2_eval.scoring.calibration import BINS

NOISE_FLOOR = "ece_noise_floor"
"""Of `ece`, not of the other calibration errors."""


class Drawn(NamedTuple):
    paths: tuple[Path, ...]
    faults: tuple[str, ...]  # sample files that cannot be used


def draw_figures(results: Results, directory: Path, groups: Sequence[Group], rows: Sequence[Row]) -> Drawn:
    """Draws `accuracy_vs_n[_ood]`, `ece_vs_n[_ood]`, `methods` and `reliability_<source>_to_<eval>`.

    Each is a PNG and an SVG, in a folder per section.

    Args:
        results: where the samples are.
        directory: where the folders go.
        groups: all of the run.
        rows: all of the run.
    """
    faults: list[str] = []
    styles = column_styles(group.column for group in groups)
    folders = {
        section: directory / re.sub(r"[^\w.-]+", "_", "_".join(filter(None, section))) for section in sections(groups)
    }

    def drawings() -> Iterator[Drawing]:
        """Those that need no samples first: they are drawn while the samples are read."""
        for section, folder in folders.items():
            reported = [row for row in section.rows(rows) if row.selection in section.selections]
            yield from _metrics(folder, section, section.groups(groups), reported, styles)
        for section, folder in folders.items():
            yield from _reliability(results, folder, section, section.groups(groups), styles, faults)

    in_order = list(folders.values())
    paths = sorted(write_figures(drawings()), key=lambda path: in_order.index(path.parent))
    return Drawn(tuple(paths), tuple(dict.fromkeys(faults)))  # an untrained method may stand in several sections


def _metrics(
    folder: Path, section: Section, groups: Sequence[Group], rows: Sequence[Row], styles: Mapping[Column, MethodStyle]
) -> Iterator[Drawing]:
    """Against N, and the methods beside one another."""
    pairs = list(_sizes(groups))
    reported = {benchmark: groups[0].headline(benchmark) for _, benchmark in pairs}  # alike for all groups
    rows = sorted(rows, key=lambda row: pairs.index((row.source, row.eval)))
    without_size = {group.column for group in groups if group.n is None}
    accuracy = [row for row in rows if row.metric == reported[row.eval].accuracy]
    calibration = [row for row in rows if row.metric == reported[row.eval].calibration]
    floors = [row for row in rows if row.metric == NOISE_FLOOR and reported[row.eval].calibration == "ece"]
    of_ece: tuple[str, Axis, list[Row], list[Row]] = ("ece", CALIBRATION, calibration, floors)
    for name, axis, of_metric, compared in (("accuracy", ACCURACY, accuracy, []), of_ece):
        for suffix, ood in (("", False), ("_ood", True)):
            shown = [row for row in of_metric if row.ood == ood]
            if shown:
                beside = [row for row in compared if row.ood == ood]
                draw = partial(metric_figure, shown, styles, without_size, axis, _title(section, shown), beside)
                yield Drawing(draw, folder / f"{name}_vs_n{suffix}")
    if accuracy:
        panels = [panel_of(pair, groups, accuracy, calibration, floors) for pair in pairs]
        title = _title(section, [*accuracy, *calibration])
        here = {column: style for column, style in styles.items() if any(group.column == column for group in groups)}
        yield Drawing(partial(methods_figure, panels, here, title), folder / "methods")


def _sizes(groups: Sequence[Group]) -> dict[tuple[str, str], list[int | None]]:
    """N of every planned source and evaluation set, finished or not, in table order."""
    sizes: dict[tuple[str, str], list[int | None]] = {}
    for place in (*places(groups, single_token=True), *places(groups, single_token=False)):
        sizes.setdefault((place.source, place.eval), []).append(place.n)
    return sizes


def panel_of(
    pair: tuple[str, str],
    groups: Sequence[Group],
    accuracy: Sequence[Row],
    calibration: Sequence[Row],
    floors: Sequence[Row],
) -> Panel:
    expected: dict[Column, list[int | None]] = {}
    for group in sorted(groups, key=lambda group: group.n or 0):
        if group.source == pair[0] and pair[1] in group.evals:
            expected.setdefault(group.column, []).append(group.n)

    def points(rows: Sequence[Row]) -> dict[tuple[Column, int | None], Row]:
        here = [row for row in rows if (row.source, row.eval) == pair]
        return {(row.column, row.N if row.N in expected[row.column] else None): row for row in here}

    return Panel(*pair, expected, points(accuracy), points(calibration), tuple(points(floors).values()))


def _title(section: Section, rows: Sequence[Row]) -> str:
    """What is shown, what its intervals are, and which metric it is where that is not the plain one."""
    intervals = describe_intervals(row.interval for row in rows)
    what = "mean and 95 % interval " + ",\n".join(intervals) if intervals else "mean"
    named = {
        f"{'ECE' if row.metric.startswith('ece') else 'accuracy'} of "
        f"{'single tokens' if get_benchmark(row.eval).single_token else 'generated texts'}: {row.metric}"
        for row in rows
        if row.metric not in ("acc", "ece")
    }
    return "\n".join([section.title, what, *sorted(named)])


def _reliability(
    results: Results,
    folder: Path,
    section: Section,
    groups: Sequence[Group],
    styles: Mapping[Column, MethodStyle],
    faults: list[str],
) -> Iterator[Drawing]:
    """A figure for each source and evaluation set of which a confidence is known; adds to `faults`."""
    for (source, benchmark), sizes in _sizes(groups).items():
        diagrams: dict[tuple[int | None, Column], Reliability] = {}
        of_source = [group for group in groups if group.source == source]
        columns = {c: style for c, style in styles.items() if any(group.column == c for group in of_source)}
        for group in of_source:
            reliability, sample_faults = pool(results, group, benchmark)
            faults += sample_faults
            if reliability is not None:
                diagrams |= {(size, group.column): reliability for size in training_sizes(groups, group)}
        if any(diagram.bins for diagram in diagrams.values()):
            title = f"{pair_title(source, benchmark)} · {section.title}"
            reported = of_source[0].headline(benchmark)
            confidence = f"{CONFIDENCES[reported.confidence]}, {BINS} {reported.bins} bins"
            if reported.bins == "equal-mass":
                confidence += " (points: narrow ones)"
            draw = partial(reliability_figure, diagrams, sizes, columns, title, confidence)
            yield Drawing(draw, folder / f"reliability_{source}_to_{benchmark}")
