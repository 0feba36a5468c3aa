"""Small pieces of a plan, run and timed on the present machine."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ia2_eval.benchmarks import get_benchmark
from ia2_eval.errors import UserError
from ia2_eval.experiments.adapt_cell import adapter_of
from ia2_eval.experiments.batch_sizes import BatchSizes
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.cost.counting import WorkCounter, kind_of, reader
from ia2_eval.experiments.cost.lengths import Lengths
from ia2_eval.experiments.cost.rates import Rates, Timing
from ia2_eval.experiments.cost.start_up import start_seconds
from ia2_eval.experiments.evaluate import Evaluator
from ia2_eval.experiments.settings import Settings
from ia2_eval.experiments.store import Store
from ia2_eval.experiments.train_cells import CellTrainer
from ia2_eval.lm.base_model import BaseFiles, BaseModel, load, use_threads_for
from ia2_eval.lm.merged import merged_adapter

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Pass = tuple[Cell, ...]

BUDGET = 30.0
"""Seconds that pieces are run for, about."""
LONGEST = 4
"""Times the budget after which kinds that were not measured stay so."""
FIRST_LIMIT = 16
"""Queries of the first evaluation of a kind."""
MOST_GROWTH = 32
"""Times as many epochs or queries the second time."""


class Calibration(NamedTuple):
    """What was measured."""

    rates: Rates
    start_seconds: float
    """From the start of a worker to its first pass: imports, and loading the base."""
    device: str
    seconds: float
    """That measuring took."""


def weights_on_disk(files: BaseFiles) -> bool:
    """Whether all the weights of a base are there."""
    index = files.directory / "model.safetensors.index.json"
    if not index.is_file():
        return any(files.directory.glob("*.safetensors"))
    return all((files.directory / name).is_file() for name in json.loads(index.read_bytes())["weight_map"].values())


def calibrate(
    passes: Sequence[Pass], files: BaseFiles, settings: Settings, lengths: Lengths, budget: float = BUDGET
) -> Calibration:
    """Run each kind of pass with few epochs and few queries, small and large ones, and fit what each amount takes.

    Nothing is kept, and none of the user's directories is touched.

    Args:
        passes: that are to run.
        files: of the base, with its weights.
        settings: of the run.
        lengths: under the base's tokenizer.
        budget: seconds, about. Each kind is measured once even if that takes longer, up to `LONGEST` times as long.

    Raises:
        UserError: something failed that the run would do too.
    """
    started = time.monotonic()
    start = start_seconds(files, settings.device)
    base = load(files, settings.device)
    use_threads_for(base.model)
    with tempfile.TemporaryDirectory(prefix="ia2-eval-calibration-") as directory:
        pieces = _Pieces(Store(Path(directory)), files, base, replace(settings, targets_dir=None), lengths, budget)
        pieces.run(passes)
    return Calibration(Rates.fit(pieces.timings), start, str(base.model.device), time.monotonic() - started)


@dataclass
class _Pieces:
    store: Store
    files: BaseFiles
    base: BaseModel
    settings: Settings
    lengths: Lengths
    budget: float
    timings: list[Timing] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.trained: set[str] = set()
        self.counter = WorkCounter(self.lengths, self.settings, self.trained)
        self.sizes = BatchSizes(self.base.model, self.settings, lambda work, most: None)
        self.trainer = CellTrainer(self.store, self.base, self.files.base.fingerprint, self.settings, self.sizes)
        self.evaluator = Evaluator(self.store, self.base.tokenizer, self.settings, self.sizes)

    def run(self, passes: Sequence[Pass]) -> None:
        """Run and time pieces: the smallest pass of each kind, then the largest that there is time for."""
        kinds: dict[tuple[object, ...], list[Pass]] = {}
        for together in sorted(passes, key=_size):
            kinds.setdefault(_kind(together), []).append(together)
        share = self.budget / sum(min(len(members), 2) for members in kinds.values())
        self._piece(next(iter(kinds.values()))[0], share=0)  # what is done for the first time takes longer
        self.timings.clear()
        started = time.monotonic()
        for members in kinds.values():
            if not self.timings or time.monotonic() - started < LONGEST * self.budget:
                self._piece(members[0], share)
        for members in kinds.values():
            left = self.budget - (time.monotonic() - started)
            rates = Rates.fit(self.timings)
            larger = [each for each in members[1:] if self._seconds(each, rates) < min(left, 2 * share)]
            if larger:
                self._piece(larger[-1], share)

    def _seconds(self, together: Pass, rates: Rates) -> float:
        """Of the first go at a piece, as far as is known by now."""
        counter = WorkCounter(self.lengths, self.settings, self.trained)
        cells = _reduced(together, epochs=1, limit=FIRST_LIMIT)
        return rates.of(counter.training(cells)) + rates.of(counter.evaluation(cells[0]))

    def _piece(self, together: Pass, share: float) -> None:
        """Train and evaluate with little, then with as much more as there is time for: the share, in seconds."""
        cells = _reduced(together, epochs=1, limit=FIRST_LIMIT)
        try:
            first = self._train(cells) if cells[0].trained else 0.0
            if first and first < share / 2 and (epochs := min(together[0].epochs or 1, _growth(share / 2, first))) > 1:
                cells = _reduced(together, epochs, FIRST_LIMIT)
                self._train(cells)
            second = self._evaluate(cells[0], cells[0])
            if second < share / 2:
                more = _reduced(together[:1], cells[0].epochs, FIRST_LIMIT * _growth(share / 2, second))
                self._evaluate(more[0], cells[0])
        except Exception as error:
            raise UserError(f"{together[0].label}: {type(error).__name__}: {error}") from error

    def _train(self, cells: Pass) -> float:
        work = self.counter.training(cells)
        started = time.monotonic()
        self.sizes.fit("training", lambda: self.trainer.train(cells, lambda check: None))
        self.timings.append(Timing(work, time.monotonic() - started))
        self.trained.update(cell.key for cell in cells)
        return self.timings[-1].seconds

    def _evaluate(self, cell: Cell, trained: Cell) -> float:
        work = self.counter.evaluation(cell)
        started = time.monotonic()
        with self._model(trained) as model:
            self.sizes.fit("evaluation", lambda: self.evaluator.evaluate(cell, model))
        self.timings.append(Timing(work, time.monotonic() - started))
        return self.timings[-1].seconds

    @contextmanager
    def _model(self, cell: Cell) -> Iterator[PreTrainedModel]:
        """As in a pass that is run."""
        if not cell.trained:
            yield self.base.model
            return
        from ia2_training import attach, detach

        path = self.store.adapter_path(cell.key)
        model = attach(self.base.model, adapter_of(cell), seed=cell.seed or 0, initial_adapter=path)
        try:
            with merged_adapter(model) if cell.protocol == "paper" else nullcontext():
                yield model
        finally:
            detach(model)


def _growth(seconds: float, first: float) -> int:
    return max(3, min(MOST_GROWTH, int(seconds / first)))


def _reduced(together: Iterable[Cell], epochs: int | None, limit: int) -> Pass:
    """Cells with fewer epochs, if they are trained, and fewer queries."""
    return tuple(
        cell.model_copy(update={"epochs": epochs if cell.trained else None, "limit": min(limit, cell.limit or limit)})
        for cell in together
    )


def _kind(together: Pass) -> tuple[object, ...]:
    """Passes of one kind do the same, with more or less of it."""
    first = together[0]
    evaluated = (reader(first), first.method == "icl", bool(first.agreement), (first.target_tokens or 1) > 1)
    if not first.trained:
        return (*evaluated, tuple(sorted({get_benchmark(name).single_token for name in first.evals})))
    losses = tuple(loss.name for loss in first.training_method.phases[-1:])
    return (*evaluated, kind_of(together), losses)


def _size(together: Pass) -> tuple[int, int]:
    return together[0].n or 0, sum(cell.epochs or 0 for cell in together)
