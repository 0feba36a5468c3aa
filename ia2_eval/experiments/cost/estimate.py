"""What the cells of a plan will cost: counted, and timed on the present machine."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ia2_eval.benchmarks.training_set import DEV_SIZE
from ia2_eval.commands import quieten
from ia2_eval.errors import UserError
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.cost.calibration import BUDGET, Calibration, calibrate, weights_on_disk
from ia2_eval.experiments.cost.counting import WorkCounter
from ia2_eval.experiments.cost.disk import Disk, disk
from ia2_eval.experiments.cost.lengths import SAMPLE, Lengths
from ia2_eval.experiments.cost.schedule import makespan
from ia2_eval.experiments.cost.work import Work, total
from ia2_eval.experiments.engines.groups import Group, groups
from ia2_eval.experiments.settings import Settings
from ia2_eval.lm.base_model import BaseFiles
from ia2_eval.lm.size import ModelSize, size_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Time(NamedTuple):
    """Wall time on machines like the present one; at most, for it takes the whole budget of epochs."""

    seconds: Mapping[int, float]
    """By number of workers, with what they do before their first pass."""
    start_seconds: float
    """Until a worker begins with its first pass."""
    longest_pass: float
    """Seconds of the pass that takes longest."""
    device: str
    calibration_seconds: float
    """That measuring took."""


@dataclass(frozen=True)
class Estimate:
    """What is left of a plan, and what it costs."""

    base: str
    dtype: str
    size: ModelSize
    cells: int
    adapters: int
    work: Work
    disk: Disk
    time: Time | None
    no_time: str
    """Why there is no time; "" where there is one."""
    notes: tuple[str, ...]


class _Counted(NamedTuple):
    """What is left of a pass."""

    cells: tuple[Cell, ...]
    work: Work


def estimate(
    cells: Sequence[Cell],
    done: Collection[str],
    files: BaseFiles,
    settings: Settings,
    workers: Sequence[int] = (1, 2),
    budget: float = BUDGET,
) -> Estimate:
    """What a plan costs from here on.

    Args:
        cells: the whole plan.
        done: keys of the cells that are done.
        files: of the base. Weights that are missing are not fetched; there is no time then.
        settings: of the run.
        workers: numbers of workers to tell the time for.
        budget: seconds of the calibration, about; 0 for no time.

    Raises:
        UserError: the base's configuration or its tokenizer cannot be used.
    """
    quieten()
    lengths = Lengths(_tokenizer(files), settings.data_dir)
    plan_groups = groups(cells, settings.adapters_per_pass, 1)
    counter = WorkCounter(lengths, settings, {key for group in plan_groups for key in group.keys})
    _draw(cells, lengths)
    counted: dict[str, _Counted] = {}  # by the first key of the pass
    for together, keys in _passes(plan_groups):
        left = tuple(cell for cell, key in zip(together, keys, strict=True) if key not in done)
        counted[keys[0]] = _Counted(left, total([counter.training(left), *map(counter.evaluation, left)]))
    waiting = [each for each in counted.values() if each.cells]
    measured, no_time = _measure([each.cells for each in waiting], files, settings, lengths, budget)
    size = size_of(files)
    remaining = [cell for each in waiting for cell in each.cells]
    return Estimate(
        base=files.base.model,
        dtype=files.base.dtype,
        size=size,
        cells=len(remaining),
        adapters=sum(cell.trained for cell in remaining),
        work=total(each.work for each in waiting),
        disk=disk(remaining, files, size, lengths, counter.targets),
        time=_time(cells, counted, measured, settings, workers) if measured else None,
        no_time=no_time,
        notes=_notes(lengths, counter, measured, [each.work for each in waiting]),
    )


def _passes(cut: Sequence[Group]) -> Iterator[tuple[tuple[Cell, ...], tuple[str, ...]]]:
    """The passes of groups, with the keys of their cells."""
    for group in cut:
        start = 0
        for together in group.passes:
            yield together, group.keys[start : start + len(together)]
            start += len(together)


def _draw(cells: Sequence[Cell], lengths: Lengths) -> None:
    """Count the tokens of all the examples that any cell draws, so that no draw is made twice."""
    most: dict[tuple[str, int], int] = {}
    for cell in cells:
        if cell.n and cell.seed is not None:
            own = cell.n + min(DEV_SIZE, cell.n // 2) + (cell.low_data.unlabelled if cell.low_data else 0)
            if cell.method == "icl" and cell.protocol == "paper":
                own = max(own, cell.n + SAMPLE)
            most[cell.source, cell.seed] = max(own, most.get((cell.source, cell.seed), 0))
    for (source, seed), count in most.items():
        lengths.drawn(source, seed, count)


def _tokenizer(files: BaseFiles) -> PreTrainedTokenizerBase:
    """The base's; of a hub repository its few small files are fetched."""
    from transformers import AutoTokenizer

    hub = files.directory.parent.name == "snapshots"
    name, revision = (files.base.model, files.base.fingerprint) if hub else (str(files.directory), "main")
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(name, revision=revision)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(f"the tokenizer of {files.base.model!r} cannot be loaded: {reason}") from error
    return tokenizer


def _measure(
    passes: Sequence[tuple[Cell, ...]], files: BaseFiles, settings: Settings, lengths: Lengths, budget: float
) -> tuple[Calibration | None, str]:
    """The calibration, or why there is none."""
    if not passes:
        return None, "nothing is left to run"
    if budget <= 0:
        return None, "no time was given to measure anything"
    if not weights_on_disk(files):
        fetch = f"fetch them with `hf download {files.base.model}`" if files.base.model else ""
        return None, f"the weights of the base are not on this machine: {fetch}, then ask again"
    try:
        return calibrate(passes, files, settings, lengths, budget), ""
    except UserError as error:
        return None, f"a piece of the plan failed on this machine: {error}"


def _time(
    cells: Sequence[Cell],
    counted: Mapping[str, _Counted],
    measured: Calibration,
    settings: Settings,
    workers: Sequence[int],
) -> Time:
    seconds = {key: measured.rates.of(each.work) for key, each in counted.items()}

    def with_workers(count: int) -> float:
        cut = groups(cells, settings.adapters_per_pass, count)
        each = [sum(seconds[keys[0]] for _, keys in _passes([group])) for group in cut]
        return measured.start_seconds + makespan(each, count)

    return Time(
        seconds={count: with_workers(count) for count in workers},
        start_seconds=measured.start_seconds,
        longest_pass=max(seconds.values()),
        device=measured.device,
        calibration_seconds=measured.seconds,
    )


def _notes(
    lengths: Lengths, counter: WorkCounter, measured: Calibration | None, works: Sequence[Work]
) -> tuple[str, ...]:
    notes = []
    if not lengths.exact:
        notes.append("tokens are estimated: this tokenizer does not cut at blank lines")
    if counter.estimated:
        notes.append("tokens of demonstrations under paper, drawn for each query, are estimated from a mean length")
    if measured and (unknown := measured.rates.unknown(works)):
        notes.append(f"the time lacks what was not measured: {', '.join(unknown)}")
    return tuple(notes)
