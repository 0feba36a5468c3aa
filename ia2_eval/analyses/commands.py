"""`ia2-eval analyze`: a run's directory -> CSV, figures and a short table."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from ia2_eval.analyses.figures import draw_overlap_figures, draw_similarity_figures
from ia2_eval.analyses.overlap import MatrixOverlap, PairOverlap, measure_overlaps, own_definition
from ia2_eval.analyses.reported import reported_runs
from ia2_eval.analyses.similarity_rows import LayerSimilarity, RunSimilarity, TokenSimilarity
from ia2_eval.analyses.students import students_by_place
from ia2_eval.analyses.summaries import (
    OverlapSummary,
    SimilaritySummary,
    summarise_overlaps,
    summarise_similarities,
)
from ia2_eval.analyses.tables import overlap_table, similarity_table, write_csv
from ia2_eval.commands import quieten
from ia2_eval.errors import UserError
from ia2_eval.leaderboard.figures.analyses import ANALYSIS
from ia2_eval.leaderboard.results.groups import Group, group_records
from ia2_eval.leaderboard.results.read import read_run
from ia2_eval.leaderboard.tables.table import Section

if TYPE_CHECKING:
    from ia2_eval.analyses.similarity import SimilaritySettings


def analyze_overlap(run_directory: Path, out: Path | None, console: Console) -> int:
    """Subspace overlap of the adapters of a run; gives the exit status: 1 when a part failed.

    Raises:
        UserError: the run has no two LoRA adapters to compare.
    """
    groups, notes, faults = _read(run_directory)
    found = measure_overlaps(run_directory, groups)
    faults += found.faults
    if not found.pairs:
        reasons = "".join(f"\n  {line}" for line in (*found.notes, *faults))
        raise UserError(
            f"{run_directory} has no two LoRA adapters of different methods, trained on the same examples, to compare."
            + reasons
        )
    out = out or run_directory / ANALYSIS
    summaries = summarise_overlaps(found.pairs)
    paths = [
        write_csv(out / "overlap.csv", PairOverlap, found.pairs),
        write_csv(out / "overlap_by_matrix.csv", MatrixOverlap, found.matrices),
        write_csv(out / "overlap_summary.csv", OverlapSummary, summaries),
        *draw_overlap_figures(found.pairs, out),
    ]
    for section in dict.fromkeys(Section(line.base, line.protocol, line.adapter) for line in summaries):
        own = own_definition(section.protocol)
        here = [s for s in summaries if (s.base, s.protocol, s.adapter, s.definition) == (*section, own)]
        console.print(overlap_table(section, own, here))
    return _finish(console, paths, {"Notes": (*notes, *found.notes), "Failed": faults})


def analyze_similarity(
    run_directory: Path, out: Path | None, settings: SimilaritySettings, console: Console, progress: Console
) -> int:
    """Similarity of the trained models of a run to in-context learning; gives the exit status: 1 when a part failed.

    Raises:
        UserError: nothing was trained, or base or data are not those of the run.
    """
    from ia2_eval.analyses.similarity import measure_similarities

    groups, notes, faults = _read(run_directory)
    places = students_by_place(groups, settings.out_of_distribution)
    if not places:
        raise UserError(
            f"{run_directory} reports no trained model on the benchmark that it was trained on. "
            "Give the directory of a run that has trained; `--ood` includes other evaluation sets."
        )
    _quieten()
    with _bar(progress, len(places)) as bar:
        task = bar.add_task("", total=len(places))
        found = measure_similarities(
            run_directory, places, settings, lambda place: bar.update(task, advance=1, description=place.label)
        )
    faults += found.faults
    if not any(run.adapter for run in found.runs):
        raise UserError("no trained model could be measured:" + "".join(f"\n  {fault}" for fault in faults))
    out = out or run_directory / ANALYSIS
    summaries = summarise_similarities(found.runs)
    paths = [
        write_csv(out / "similarity.csv", RunSimilarity, found.runs),
        write_csv(out / "similarity_by_layer.csv", LayerSimilarity, found.layers),
        write_csv(out / "similarity_by_token.csv", TokenSimilarity, found.tokens),
        write_csv(out / "similarity_summary.csv", SimilaritySummary, summaries),
        *draw_similarity_figures(found, out),
    ]
    for section in dict.fromkeys(Section(line.base, line.protocol, line.adapter) for line in summaries if line.adapter):
        for mode in dict.fromkeys(line.mode for line in summaries):
            here = [
                line
                for line in summaries
                if (line.base, line.protocol, line.mode) == (section.base, section.protocol, mode)
                and line.adapter in ("", section.adapter)
            ]
            if here:
                console.print(similarity_table(section, mode, here))
    return _finish(console, paths, {"Notes": notes, "Failed": faults})


def _read(run_directory: Path) -> tuple[list[Group], tuple[str, ...], list[str]]:
    """Groups of a run's records, notes on what was left out, and faults: files that cannot be used, failed cells.

    Raises:
        UserError: there are no records, or no trained ones.
    """
    run = read_run(run_directory)
    groups, notes = group_records(run.records, run.plan)
    faults = list(run.faults)
    faults += [f"records/{r.key}.json: the cell {r.cell.label} failed" for r in run.records if r.status == "failed"]
    if not reported_runs(groups):
        raise UserError(
            f"{run_directory} has no trained model with a learning rate to report. "
            "Give the directory of a run that has trained: `ia2-eval run RECIPE.yaml --out DIRECTORY`."
            + "".join(f"\n  {fault}" for fault in faults)
        )
    return list(groups), notes, faults


def _finish(console: Console, paths: Sequence[Path], remarks: dict[str, Iterable[str]]) -> int:
    for heading, lines in remarks.items():
        listed = list(dict.fromkeys(lines))
        if listed:
            console.print(Text(f"{heading}:", style="bold"))
        for line in listed:
            console.print(Text(f"  {line}"), soft_wrap=True)
    for path in dict.fromkeys(path.parent if path.suffix in (".png", ".svg") else path for path in paths):
        console.print(Text(str(path), style="dim"), soft_wrap=True)
    return 1 if list(remarks["Failed"]) else 0


def _bar(console: Console, total: int) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _quieten() -> None:
    """Leave the console to the analysis: libraries speak up only when something is wrong."""
    quieten()
    warnings.filterwarnings(
        "ignore", "Position ids are not supported", module="peft"
    )  # without padding they change nothing
