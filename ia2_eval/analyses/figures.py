"""Which figures the analyses have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ia2_eval.analyses.overlap import PairOverlap, own_definition
from ia2_eval.analyses.overlap_plot import overlap_figure
from ia2_eval.analyses.panels import Place
from ia2_eval.analyses.performance_plot import Metric, performance_figure
from ia2_eval.analyses.similarity_plots import layer_figure, overall_figure, token_figure
from ia2_eval.analyses.similarity_rows import Run, Similarities
from ia2_eval.leaderboard.figures.write import write_figure
from ia2_eval.leaderboard.style import column_styles
from ia2_eval.leaderboard.tables.table import Section

METRICS: tuple[Metric, ...] = ("accuracy", "ece")


def draw_overlap_figures(pairs: Sequence[PairOverlap], directory: Path) -> list[Path]:
    """`subspace_overlap`, by the definition of each protocol, in a folder for each base, protocol and adapter."""
    paths = []
    for section in dict.fromkeys(Section(pair.base, pair.protocol, pair.adapter) for pair in pairs):
        shown = [
            p for p in pairs if (p.base, p.protocol, p.adapter, p.definition) == (*section, own_definition(p.protocol))
        ]
        draw = partial(overlap_figure, shown, section.title)
        paths += write_figure(draw, _folder(directory, section) / "subspace_overlap")
    return paths


def draw_similarity_figures(found: Similarities, directory: Path) -> list[Path]:
    """In a folder for each base, protocol and adapter, for each way of comparing: overall, by layer, by layer and token
    where responses are longer than one, and against accuracy and ECE."""
    paths = []
    styles = column_styles(run.column for run in found.runs)
    sections = dict.fromkeys(Section(run.base, run.protocol, run.adapter) for run in found.runs if run.adapter)
    for section in sections:
        for mode in dict.fromkeys(run.mode for run in found.runs):

            def here(run: Run, section: Section = section, mode: str = mode) -> bool:
                same = (run.base, run.protocol, run.mode) == (section.base, section.protocol, mode)
                return same and run.adapter in ("", section.adapter)

            runs = list(filter(here, found.runs))
            if not runs:
                continue
            folder = _folder(directory, section)
            title = f"{section.title} · {mode.replace('_', ' ')}"
            layers = list(filter(here, found.layers))
            interval = f"{title}\nmean and 95 % interval over seeds"
            paths += write_figure(partial(overall_figure, runs, styles, interval), folder / f"similarity_{mode}")
            paths += write_figure(
                partial(layer_figure, layers, styles, interval), folder / f"similarity_by_layer_{mode}"
            )
            tokens = list(filter(here, found.tokens))
            for place in dict.fromkeys(Place(row.source, row.eval, row.N) for row in tokens if row.token > 0):
                of_place = [row for row in tokens if (row.source, row.eval, row.N) == place]
                draw = partial(token_figure, of_place, styles, f"{place.title} · {title}")
                stem = f"similarity_by_token_{mode}_{place.source}_to_{place.eval}_n{place.N}"
                paths += write_figure(draw, folder / stem)
            for metric in METRICS:
                if any(getattr(run, metric) is not None for run in runs):
                    draw = partial(
                        performance_figure, runs, metric, styles, f"{title}\none point for each training run"
                    )
                    paths += write_figure(draw, folder / f"similarity_against_{metric}_{mode}")
    return paths


def _folder(directory: Path, section: Section) -> Path:
    return directory / re.sub(r"[^\w.-]+", "_", "_".join(filter(None, section)))
