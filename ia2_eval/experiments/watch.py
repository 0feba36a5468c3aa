"""Shows a run: one progress bar on a terminal, one plain line per cell where there is none."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.text import Text

from ia2_eval.benchmarks import BenchmarkData
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.ownership.processes import Process
from ia2_eval.experiments.progress import Progress, pass_label
from ia2_eval.experiments.record import Record

if TYPE_CHECKING:
    from ia2_training import Check

SECONDS_BETWEEN_LINES = 10.0
"""Between two lines about the training of one cell, where there is no terminal."""
SECONDS_BETWEEN_REPORTS = 60.0
"""The same, about what all workers do."""
WORKERS_SHOWN = 8
"""Below the bar, on a terminal."""


class _Bar(Bar):
    """A bar, and below it what is being done, a line each: beside it a long one would take the bar's room."""

    def get_renderables(self) -> Iterator[RenderableType]:
        yield from super().get_renderables()
        for task in self.tasks:
            doing: Sequence[str] = task.fields["doing"]
            for line in doing[:WORKERS_SHOWN]:
                yield Text(line, style="dim", no_wrap=True, overflow="ellipsis")
            if len(doing) > WORKERS_SHOWN:
                yield Text(f"and {len(doing) - WORKERS_SHOWN} more", style="dim")


class PlanLine(NamedTuple):
    """Cells of one benchmark and adapter whose methods are trained alike at each N."""

    source: str
    evals: tuple[str, ...]
    adapter: str  # empty for methods without training
    sizes: tuple[int, ...] = ()  # N
    learning_rates: tuple[float, ...] = ()
    seeds: int = 0
    methods: tuple[str, ...] = ()  # with their variants
    cells: int = 0


def plan_lines(cells: Sequence[Cell]) -> list[PlanLine]:
    """A plan in as few lines as tell all of it, in the plan's order."""
    by_method: dict[tuple[PlanLine, str], list[Cell]] = {}
    for cell in cells:
        size = () if cell.n is None else (cell.n,)
        line = PlanLine(cell.source, cell.evals, cell.adapter.label if cell.adapter else "", size)
        method = cell.method + (f" ({cell.variant})" if cell.variant else "")
        by_method.setdefault((line, method), []).append(cell)
    alike: dict[PlanLine, dict[str, int]] = {}
    for (line, method), members in by_method.items():
        rates = tuple(sorted({cell.learning_rate for cell in members if cell.learning_rate is not None}))
        seeds = len({cell.seed for cell in members if cell.seed is not None})
        alike.setdefault(line._replace(learning_rates=rates, seeds=seeds), {})[method] = len(members)
    merged: dict[PlanLine, PlanLine] = {}
    for line, counts in alike.items():
        key = line._replace(sizes=(), methods=tuple(counts))
        before = merged.get(key, key)
        merged[key] = before._replace(sizes=before.sizes + line.sizes, cells=before.cells + sum(counts.values()))
    return list(merged.values())


def print_plan(cells: Sequence[Cell], done: int, console: Console) -> None:
    """The cells of a plan by benchmark and adapter; long lists of methods are wrapped, nothing is cut."""
    for (source, evals), lines in groupby(plan_lines(cells), key=lambda line: line[:2]):
        elsewhere = "" if evals == (source,) else f", evaluated on {', '.join(evals)}"
        console.print(Text(f"{source}{elsewhere}", style="bold", overflow="fold"))
        for line in lines:
            methods = ", ".join(line.methods)
            counts = [
                "N " + ", ".join(map(str, line.sizes)) if line.sizes else "",
                "learning rates " + ", ".join(map("{:g}".format, line.learning_rates)) if line.learning_rates else "",
                _counted(line.seeds, "seed") if line.seeds else "",
                _counted(line.cells, "cell"),
            ]
            entry = f"{line.adapter or methods}: {'; '.join(filter(None, counts))}"
            console.print(Padding(Text(entry, overflow="fold"), (0, 0, 0, 2), expand=False))
            if line.adapter:
                console.print(Padding(Text(methods, style="dim", overflow="fold"), (0, 0, 0, 4), expand=False))
    adapters = sum(cell.trained for cell in cells)
    console.print(f"{len(cells)} cells ({adapters} adapters), {done} of them done", highlight=False)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


def print_data_notes(data: Mapping[str, BenchmarkData], console: Console) -> None:
    """Where local data differ from the hub's."""
    for name, loaded in data.items():
        for note in loaded.notes:
            console.print(Text(f"{name}: {note}", style="dim"), soft_wrap=True)


@contextmanager
def watch(total: int, done: int, console: Console) -> Iterator[Progress]:
    """Callbacks that show a run of `total` cells, `done` of which need no work."""
    counted = done
    last_line = time.monotonic()
    with _Bar(
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("", total=total, completed=done, doing=())

        def training_started(cells: Sequence[Cell]) -> None:
            nonlocal last_line
            last_line = time.monotonic()
            bar.update(task, doing=(f"training {pass_label(cells)}",))
            if len(cells) > 1 and not console.is_terminal:
                console.print(Text(f"training {pass_label(cells)}"), soft_wrap=True)

        def together_failed(cells: Sequence[Cell], error: Exception) -> None:
            why = (str(error).strip().splitlines() or [""])[0]
            said = f"training {pass_label(cells)} failed ({type(error).__name__}: {why}); now in two halves"
            console.print(Text(said, style="yellow"), soft_wrap=True)

        def cell_started(cell: Cell) -> None:
            bar.update(task, doing=(cell.label,))

        def training(check: Check) -> None:
            nonlocal last_line
            bar.update(task, doing=(*bar.tasks[task].fields["doing"][:1], f"  {check}"))
            if not console.is_terminal and time.monotonic() - last_line > SECONDS_BETWEEN_LINES:
                console.print(Text(f"  {check}"), soft_wrap=True)
                last_line = time.monotonic()

        def cell_finished(record: Record) -> None:
            nonlocal counted, last_line
            counted += 1
            last_line = time.monotonic()
            bar.update(task, completed=counted)
            if record.status == "failed":
                console.print(Text(f"failed: {record.cell.label}: {_last_line(record)}", style="red"), soft_wrap=True)
            elif not console.is_terminal:
                console.print(Text(f"[{counted}/{total}] {record.cell.label}: {_outcome(record)}"), soft_wrap=True)

        def damaged(path: Path, reason: str) -> None:
            what = "record" if path.parent.name == "records" else "adapter"
            console.print(Text(f"set aside a damaged {what} as {path}: {reason}", style="yellow"), soft_wrap=True)

        def halved(what: str, most: int) -> None:
            examples = "1 example" if most == 1 else f"{most} examples"
            console.print(Text(f"out of memory: now {examples} at once in {what}", style="yellow"), soft_wrap=True)

        def said(line: str) -> None:
            console.print(Text(line, style="yellow"), soft_wrap=True)

        def working(workers: Sequence[Process]) -> None:
            nonlocal last_line
            doing = [process.doing for process in workers if process.doing]
            bar.update(task, description=_counted(len(workers), "worker"), doing=doing)
            if not console.is_terminal and time.monotonic() - last_line > SECONDS_BETWEEN_REPORTS:
                for what in doing:
                    console.print(Text(f"  {what}"), soft_wrap=True)
                last_line = time.monotonic()

        yield Progress(
            training_started=training_started,
            training=training,
            together_failed=together_failed,
            cell_started=cell_started,
            cell_finished=cell_finished,
            damaged=damaged,
            working=working,
            said=said,
            halved=halved,
        )


def _outcome(record: Record) -> str:
    scores = [
        f"{evaluation.eval} acc {evaluation.metrics['acc']:.3f}"
        + (f" ece {evaluation.metrics['ece']:.3f}" if "ece" in evaluation.metrics else "")
        for evaluation in record.evaluations
    ]
    return ", ".join(scores) + f" ({record.provenance.wall_seconds:.1f} s)"


def _last_line(record: Record) -> str:
    return (record.error or "").strip().splitlines()[-1]
