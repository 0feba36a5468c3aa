"""Counts the work of passes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import ceil, factorial
from typing import TYPE_CHECKING

import numpy as np

from ia2_eval.benchmarks import get_benchmark
from ia2_eval.benchmarks.training_set import DEV_SIZE
from ia2_eval.experiments.adapt_cell import training_config
from ia2_eval.experiments.adapter_specs import Prefix, Prompt
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.cost.lengths import SAMPLE, Counts, Lengths, Queries
from ia2_eval.experiments.cost.work import Work, total
from ia2_eval.experiments.settings import Settings

if TYPE_CHECKING:
    from ia2_training import TrainingConfig
    from ia2_training.losses import Loss

Teaching = tuple[object, ...]
"""What targets depend on, apart from the base."""


class WorkCounter:
    """Counts the work of passes in the order in which they run: what was collected or loaded before is not again."""

    def __init__(self, lengths: Lengths, settings: Settings, adapters: Collection[str]) -> None:
        """
        Args:
            lengths: under the base's tokenizer.
            settings: of the run.
            adapters: keys of cells whose adapters are there, or will be in time, to start from.
        """
        self.lengths, self.settings, self.adapters = lengths, settings, adapters
        self.estimated = False
        """Whether tokens were not counted but taken from a mean."""
        self.targets: dict[Teaching, tuple[Cell, int]] = {}
        """What the teacher was asked for: a cell that learns from it, and the response tokens at most."""
        self._tasks: set[tuple[object, ...]] = set()

    def training(self, cells: Sequence[Cell]) -> Work:
        """Of the adapters of a pass, and what the teacher must be asked first."""
        lacking: dict[bool, list[Cell]] = {True: [], False: []}
        for cell in cells:
            if cell.trained:
                lacking[self._continues(cell)].append(cell)
        return total(self._together(members, continues) for continues, members in lacking.items() if members)

    def evaluation(self, cell: Cell) -> Work:
        """Of a cell on all its benchmarks."""
        return total([self._loading(cell), *(self._evaluation(cell, name) for name in cell.evals), self._dev(cell)])

    def _continues(self, cell: Cell) -> bool:
        variant = cell.before_last_phase
        return variant is not None and cell.model_copy(update=dict(variant)).key in self.adapters

    def _together(self, cells: Sequence[Cell], continues: bool) -> Work:
        """Of cells that differ in seed and learning rate only."""
        first = cells[0]
        config = training_config(first, self.settings)
        losses = first.training_method.phases[-1:] if continues else first.training_method.phases
        kind = kind_of(cells)
        parts = [Work(amounts={f"{kind}: trainings": 1, f"{kind}: adapters": len(cells)})]
        parts += [self._phase(loss, cells, config, kind) for loss in losses]
        if any(loss.response == "teacher" for loss in losses):
            parts += [self._teaching(cell, config) for cell in cells]
        return total(parts)

    def _phase(self, loss: Loss, cells: Sequence[Cell], config: TrainingConfig, kind: str) -> Work:
        rows = {cell.seed: self._rows(cell, loss) for cell in cells}
        trains, devs = zip(*(rows[cell.seed] for cell in cells), strict=True)
        examples = len(trains[0])
        batch = min(config.batch_size, examples)
        steps_per_epoch = ceil(examples / batch)
        steps = config.epochs * steps_per_epoch
        checks = sum(step % config.eval_every == 0 or step % steps_per_epoch == 0 for step in range(1, steps + 1))
        checks += config.step_zero
        most = config.micro_batch_size or batch * len(cells)
        # A step has other rows each time: those of an epoch, put beside each other, stand for them.
        per_step, padded = _passes(np.concatenate([train[:batch] for train in trains]), most)
        mean = sum(float(train.mean()) for train in trains) / sum(float(train[:batch].mean()) for train in trains)
        per_check, padded_check = _passes(np.concatenate(devs), most)
        trained = config.epochs * sum(int(train.sum()) for train in trains)
        checked = checks * sum(int(dev.sum()) for dev in devs)
        return Work(
            trained=trained,
            checked=checked,
            amounts={
                f"{kind}, {loss.name}: passes": steps * per_step,
                f"{kind}: tokens": steps * padded * mean,
                f"{kind}, {loss.name}: check passes": checks * per_check,
                f"{kind}: check tokens": checks * padded_check,
            },
        )

    def _rows(self, cell: Cell, loss: Loss) -> tuple[Counts, Counts]:
        """Tokens of each training and dev sequence. The last one of a response is only predicted."""
        assert cell.n and cell.seed is not None and cell.target_tokens
        n, dev = cell.n, min(DEV_SIZE, cell.n // 2)
        queries, orders = _unlabelled(cell)
        drawn = self.lengths.drawn(cell.source, cell.seed, n + dev + queries)
        if loss.response == "ground_truth":
            lengths = drawn.prompts + drawn.answers - (cell.target_tokens == 1)
            return lengths[:n], lengths[n : n + dev]
        lengths = drawn.prompts + cell.target_tokens - 1
        taught = np.repeat(lengths[n + dev :], orders) if queries else lengths[:n]
        return taught, lengths[n : n + dev]

    def _teaching(self, cell: Cell, config: TrainingConfig) -> Work:
        """Of the teacher, unless it was asked before."""
        alignment = cell.alignment.output if cell.alignment else "attention"
        data = (cell.source, cell.n, cell.seed, cell.protocol, cell.low_data, cell.demonstration_orders)
        key = (*data, cell.target_tokens, cell.version, alignment)
        if key in self.targets:
            return Work()
        assert cell.n and cell.seed is not None and cell.target_tokens
        n, dev = cell.n, min(DEV_SIZE, cell.n // 2)
        queries, orders = _unlabelled(cell)
        drawn = self.lengths.drawn(cell.source, cell.seed, n + dev + queries)
        shown = drawn.demonstrations[:n]
        others = int(shown.sum()) - shown  # of each training example
        train = drawn.prompts[:n] + others
        if queries:
            train = np.repeat(drawn.prompts[n + dev :] + int(shown.sum()), orders)
        dev_shown = others[:dev] if cell.protocol == "paper" else int(shown.sum())
        contexts = np.concatenate([*[train] * config.demonstration_orders, drawn.prompts[n : n + dev] + dev_shown])
        decoded = cell.target_tokens - 1
        self.targets[key] = cell, len(contexts) * cell.target_tokens
        return Work(
            teacher=int(contexts.sum()) + len(contexts) * decoded,
            amounts={
                "teacher: sets": 1,
                "teacher: queries": len(contexts),
                "teacher: tokens": float(contexts.sum()),
                "teacher: decoding steps": ceil(len(contexts) / config.target_batch_size) * decoded,
            },
        )

    def _loading(self, cell: Cell) -> Work:
        """Of lm-eval's tasks, as `Evaluator` keeps them."""
        demonstrations = (cell.n, cell.seed) if cell.method == "icl" else None
        key = (cell.protocol, cell.source if demonstrations else None, cell.evals, demonstrations)
        amounts = {f"{reader(cell)}: evaluations": 1}
        if key not in self._tasks:
            self._tasks = {each for each in self._tasks if each[-1] is None} | {key}
            amounts["task sets loaded"] = 1
        return Work(amounts=amounts)

    def _evaluation(self, cell: Cell, name: str) -> Work:
        queries = self.lengths.queries(name, cell.limit)
        shown: Counts | int = 0
        common = queries.common
        if cell.method == "icl":
            assert cell.n and cell.seed is not None
            if cell.protocol == "strict":
                shown = int(self.lengths.drawn(cell.source, cell.seed, cell.n).demonstrations.sum())
                common += shown
            else:  # N - 1 others for each query: counting them would take longer than asking the model
                self.estimated = True
                drawn = self.lengths.drawn(cell.source, cell.seed, cell.n + SAMPLE)
                shown, common = round((cell.n - 1) * float(drawn.demonstrations.mean())), 0
        sampled = cell.agreement.samples if cell.agreement and not queries.labels else 0
        first = self._reading(cell, queries, shown, common, 1, name)
        return total([first, self._reading(cell, queries, shown, common, sampled, name)]) if sampled else first

    def _dev(self, cell: Cell) -> Work:
        """Of the dev examples that a temperature is fitted to."""
        if not cell.temperature_scaling:
            return Work()
        assert cell.n and cell.seed is not None
        queries = self.lengths.development(cell.source, cell.seed, cell.n)
        shown: Counts | int = 0
        common = queries.common
        if cell.method == "icl":
            demonstrations = self.lengths.drawn(cell.source, cell.seed, cell.n).demonstrations
            shown = int(demonstrations.sum())
            common += shown
            if cell.protocol == "paper":
                shown, common = shown - demonstrations[: len(queries.prompts)], 0
        return self._reading(cell, queries, shown, common, 1, cell.source)

    def _reading(self, cell: Cell, queries: Queries, shown: Counts | int, common: int, repeats: int, name: str) -> Work:
        """Of queries behind demonstrations, asked so many times; `common` tokens of all of them are read once."""
        from ia2_eval.lm.ia2_hf import WORTH_SHARING

        if not len(queries.prompts):
            return Work()
        rows = np.concatenate([queries.prompts + shown + end for end in queries.label_ends] * repeats)
        common = min(common, int(rows.min()) - 1)
        shares = len(rows) > 1 and common * (len(rows) - 1) >= WORTH_SHARING * int(rows.sum())
        common = common if shares and not isinstance(cell.adapter, Prompt | Prefix) else 0
        read = common + int((rows - common).sum())
        batches, who = ceil(len(rows) / self.settings.batch_size), reader(cell)
        amounts = {f"{who}: tokens read": float(read), f"{who}: batches read": batches}
        if queries.labels:
            return Work(read=read, amounts={**amounts, "requests": len(queries.prompts) * queries.labels})
        most = get_benchmark(name).max_new_tokens
        amounts |= {f"{who}: texts": len(rows), f"{who}: decoding steps": batches * most}
        return Work(read=read, generated=len(rows) * most, amounts=amounts)


def reader(cell: Cell) -> str:
    """What reads prompts in the evaluation of a cell: an adapter takes time of its own."""
    return cell.adapter.type if cell.adapter else "base"


def kind_of(cells: Sequence[Cell]) -> str:
    """Cells whose steps take alike."""
    adapter = cells[0].adapter
    assert adapter
    return f"{adapter.type} together" if len(cells) > 1 else adapter.type


def _unlabelled(cell: Cell) -> tuple[int, int]:
    """Queries of low-data mode, and how often each comes."""
    if cell.low_data is None:
        return 0, 1
    assert cell.n
    return cell.low_data.unlabelled, min(cell.low_data.orders, factorial(cell.n))


def _passes(lengths: Counts, most: int) -> tuple[int, int]:
    """Forward passes for some rows, and their tokens with padding, when up to `most` of like length go together."""
    if not len(lengths):
        return 0, 0
    ordered = np.sort(lengths)[::-1]
    widths = ordered[::most]
    rows = np.diff(np.append(np.arange(0, len(ordered), most), len(ordered)))
    return len(widths), int((widths * rows).sum())
