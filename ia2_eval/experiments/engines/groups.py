"""Cuts a plan into what one worker takes at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.passes import passes

GROUPS_PER_WORKER = 4
"""At least, where the plan has as many parts: the fewer, the longer all wait for the last worker."""
EVALUATION = 200
"""Examples that a benchmark is taken to have where no limit says."""


class Group(NamedTuple):
    """Passes for one worker, in their order; as each leaves its adapters and records, a lost worker loses one pass."""

    passes: tuple[tuple[Cell, ...], ...]
    keys: tuple[str, ...]
    """Of all cells."""


def groups(cells: Sequence[Cell], adapters_per_pass: int, workers: int = 1) -> list[Group]:
    """The passes of a plan in groups, the largest first; for one worker in the plan's order.

    A pass that starts from the adapters of another one is in its group. So is, for several workers, what learns from
    the same training sets, as far as the group does not become too large a part of the whole: what the teacher gives is
    collected once.

    Args:
        cells: the plan.
        adapters_per_pass: cells of a pass at most.
        workers: that share the work.
    """
    chains = _chains([tuple(together) for together in passes(cells, adapters_per_pass)])
    if workers == 1:
        return chains
    weights = [_weight(chain) for chain in chains]
    most = sum(weights) / (GROUPS_PER_WORKER * workers)
    merged: list[tuple[float, Group]] = []
    for weight, chain in zip(weights, chains, strict=True):
        if merged and merged[-1][0] + weight <= most and _training_sets(merged[-1][1]) == _training_sets(chain):
            before, (cut, keys) = merged[-1][0], merged[-1][1]
            merged[-1] = before + weight, Group(cut + chain.passes, keys + chain.keys)
        else:
            merged.append((weight, chain))
    return [group for _, group in sorted(merged, key=lambda entry: -entry[0])]


def _chains(cut: Sequence[tuple[Cell, ...]]) -> list[Group]:
    """Each pass with those that start from its adapters."""
    chain_of: dict[str, int] = {}  # key of a cell -> number of its chain
    chains: list[list[tuple[Cell, ...]]] = []
    for together in cut:
        before = [chain_of[key] for cell in together if (key := _earlier(cell)) in chain_of]
        number = before[0] if before else len(chains)
        if number == len(chains):
            chains.append([])
        chains[number].append(together)
        chain_of.update((cell.key, number) for cell in together)
    return [Group(tuple(chain), tuple(cell.key for together in chain for cell in together)) for chain in chains]


def _earlier(cell: Cell) -> str | None:
    """Key of the cell that has all phases of this one but the last."""
    variant = cell.before_last_phase if cell.trained else None
    return cell.model_copy(update=dict(variant)).key if variant else None


def _training_sets(group: Group) -> tuple[str, int | None]:
    first = group.passes[0][0]
    return first.source, first.n


def _weight(chain: Group) -> float:
    """What a group costs, roughly: examples that go through the model, three times those of a training step."""
    return sum(_cell_weight(cell) for together in chain.passes for cell in together)


def _cell_weight(cell: Cell) -> float:
    evaluated: float = len(cell.evals) * (cell.limit or EVALUATION) * (cell.target_tokens or 1) ** 0.5
    if not cell.trained:
        return evaluated
    assert cell.epochs and cell.n
    phases = 1 if cell.before_last_phase else len(cell.training_method.phases)
    return evaluated + float(3 * phases * cell.epochs * cell.n)
