from __future__ import annotations

import pytest

from ia2_eval.experiments.adapter_specs import Ia3
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.engines.groups import GROUPS_PER_WORKER, groups
from ia2_eval.experiments.passes import passes
from tests.experiments.fake_passes import fake_cell

RATES = (1e-3, 1e-2)


def plan(seeds: int, sizes: tuple[int, ...] = (4, 8)) -> list[Cell]:
    cells = [fake_cell("no_icl")]
    for n in sizes:
        cells += [fake_cell("icl", seed, n) for seed in range(seeds)]
        for method in ("sft", "ia2", "ia2_sft"):
            cells += [fake_cell(method, seed, n, learning_rate=rate) for seed in range(seeds) for rate in RATES]
    return cells


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("size", [1, 4, 15])
def test_every_pass_is_in_one_group_as_a_single_worker_would_run_it(workers: int, size: int) -> None:
    """Rounding errors depend on who is trained together, so that must not depend on the number of workers."""
    cells = plan(seeds=5)
    cut = [together for group in groups(cells, size, workers) for together in group.passes]
    assert sorted(cut, key=str) == sorted((tuple(together) for together in passes(cells, size)), key=str)
    for group in groups(cells, size, workers):
        assert list(group.keys) == [cell.key for together in group.passes for cell in together]


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_what_starts_from_an_adapter_stands_after_it_in_the_same_group(workers: int) -> None:
    for group in groups(plan(seeds=5), 4, workers):
        for place, together in enumerate(group.passes):
            if together[0].method == "ia2_sft":
                earlier = {cell.key for before in group.passes[:place] for cell in before}
                assert {cell.model_copy(update=dict(cell.before_last_phase or ())).key for cell in together} <= earlier


def test_the_largest_group_is_first_and_none_is_too_large() -> None:
    def cost(cells: list[Cell]) -> int:
        return sum(3 * cell.epochs * cell.n if cell.epochs and cell.n else 0 for cell in cells) + 200 * len(cells)

    cells = plan(seeds=8)
    cut = groups(cells, 4, workers=2)
    costs = [cost([cell for together in group.passes for cell in together]) for group in cut]
    assert costs == sorted(costs, reverse=True)
    assert len(cut) >= 2 * GROUPS_PER_WORKER
    assert max(costs) <= 1.01 * sum(costs) / (2 * GROUPS_PER_WORKER)


def test_one_worker_keeps_the_order_of_the_plan_but_for_chains() -> None:
    cells = [fake_cell("icl"), fake_cell("sft"), fake_cell("ia2"), fake_cell("sft", adapter=Ia3()), fake_cell("icl", 1)]
    assert [group.keys for group in groups(cells, 15)] == [(cell.key,) for cell in cells]
    chain = [fake_cell("ia2"), fake_cell("icl"), fake_cell("ia2_sft")]
    assert [group.keys for group in groups(chain, 15)] == [(chain[0].key, chain[2].key), (chain[1].key,)]
