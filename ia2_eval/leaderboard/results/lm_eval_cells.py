"""Which cell of an experiment a result of lm-eval's is of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ia2_eval.benchmarks import BENCHMARKS
from ia2_eval.experiments.cell import Cell
from ia2_eval.leaderboard.results.lm_eval_content import LmEvalResults, TaskResult
from ia2_eval.leaderboard.results.lm_eval_subject import Subject


class Found(NamedTuple):
    """One task of one file of results."""

    subject: Subject
    result: TaskResult
    content: LmEvalResults
    path: Path

    @property
    def of_run(self) -> bool:
        """Whether it is of a cell of the run that trained the adapter: of its protocol, and without demonstrations."""
        origin = self.subject.origin
        return origin is not None and origin.cell.protocol == self.result.protocol and self.result.shots is None


def by_cell(found: Iterable[Found]) -> list[tuple[Cell, dict[str, Found]]]:
    """The newest result of each cell on each benchmark, in the order of the benchmarks.

    What the base says without demonstrations is the same whatever they would be drawn from: it stands beside each
    source that has other results on the benchmark.
    """
    cells: dict[Cell, dict[str, Found]] = defaultdict(dict)
    sources: dict[tuple[object, ...], set[str]] = defaultdict(set)
    bare = []
    for each in found:
        place = (each.subject.base, each.result.protocol, each.result.limit, each.result.benchmark)
        if each.subject.adapter is None and each.result.shots is None:
            bare.append((place, each))
            continue
        cell = _cell(each)
        sources[place].add(cell.source)
        cells[cell][each.result.benchmark] = each
    for place, each in bare:
        for source in sorted(sources[place]) or [each.result.source]:
            cells[_cell(each).model_copy(update={"source": source})][each.result.benchmark] = each
    order = list(BENCHMARKS)
    complete = []
    for cell, by_eval in cells.items():
        evals = tuple(sorted(by_eval, key=lambda name: (name != cell.source, order.index(name))))
        complete.append((cell.model_copy(update={"evals": evals}), {name: by_eval[name] for name in evals}))
    return complete


def _cell(found: Found) -> Cell:
    """Without its `evals`."""
    subject, result = found.subject, found.result
    if found.of_run:
        assert subject.origin is not None
        unknown = {"data": "", "evals": (), "temperature_scaling": None, "agreement": None}
        return subject.origin.cell.model_copy(update={"base": subject.base, "limit": result.limit} | unknown)
    shown = result.shots is not None
    method = "icl" if shown else "no_icl"
    if subject.adapter is not None:
        method = f"{subject.adapter} + ICL" if shown else subject.adapter
    return Cell(
        base=subject.base,
        source=result.source,
        method=method,
        n=result.shots,
        seed=result.seed if shown else None,
        protocol=result.protocol,
        evals=(),
        limit=result.limit,
        data="",
    )
