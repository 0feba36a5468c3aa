"""From a recipe to the cells that it stands for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from ia2_eval.benchmarks import (
    Benchmark,
    BenchmarkData,
    draw_training_set,
    get_benchmark,
    load_benchmark,
    per_query_demonstrations,
)
from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.experiments.cell import TRAINED_METHODS, Cell, Method
from ia2_eval.experiments.recipe import Recipe, Source
from ia2_eval.lm.base_model import Base


def plan(recipe: Recipe, base: Base, data_dir: Path | None = None) -> list[Cell]:
    """Every cell of a recipe, in the order in which they are best run.

    Cells of one training set stand together, so that what the teacher did is collected once for all of them, and `ia2`
    stands before `ia2_sft`, which starts from its adapter.

    Args:
        base: the recipe's base with its fingerprint.

    Raises:
        UserError: an unknown benchmark, data that cannot be loaded, a pool too small for an N, or no learning rate.
    """
    trained = [method for method in recipe.methods if method in TRAINED_METHODS]
    if trained and not recipe.learning_rates:
        raise UserError(f"the recipe {recipe.name!r} trains ({', '.join(trained)}) but lists no learning_rates")
    data: dict[str, BenchmarkData] = {}
    cells = [cell for source in recipe.benchmarks for cell in _source_cells(recipe, base, source, data, data_dir)]
    return list({cell.key: cell for cell in cells}.values())


def _source_cells(
    recipe: Recipe, base: Base, source: Source, data: dict[str, BenchmarkData], data_dir: Path | None
) -> Iterator[Cell]:
    benchmark = get_benchmark(source.source)
    known = (benchmark.name, *benchmark.out_of_distribution)
    evals = source.evals or known
    for name in evals:
        if name not in known:
            raise UserError(f"{benchmark.name} is not evaluated on {name!r}.{did_you_mean(name, known)}")
    for name in (benchmark.name, *evals):
        if name not in data:
            data[name] = load_benchmark(name, data_dir)
    fingerprints = "".join(data[name].fingerprint for name in (benchmark.name, *evals))
    untrained = Cell(
        base=base,
        source=benchmark.name,
        method="no_icl",
        protocol=recipe.protocol,
        evals=evals,
        limit=recipe.limit,
        data=hashlib.sha256(fingerprints.encode()).hexdigest(),
    )
    if "no_icl" in recipe.methods:
        yield untrained
    for n in source.n:
        for seed in recipe.seeds:
            _refuse_too_large(n, seed, data[benchmark.name], recipe)
            drawn = untrained.model_copy(update={"n": n, "seed": seed})
            if "icl" in recipe.methods:
                yield drawn.model_copy(update={"method": "icl"})
            for learning_rate in recipe.learning_rates:
                for method in TRAINED_METHODS:
                    if method in recipe.methods:
                        yield _trained(recipe, drawn, method, learning_rate, benchmark)


def _refuse_too_large(n: int, seed: int, data: BenchmarkData, recipe: Recipe) -> None:
    """Draws what the cells will draw, so that an N that the pool cannot give is refused before anything runs."""
    training_set = draw_training_set(data, n, seed)
    if recipe.protocol == "paper" and "icl" in recipe.methods:
        per_query_demonstrations(data, training_set, count=1)


def _trained(recipe: Recipe, drawn: Cell, method: Method, learning_rate: float, benchmark: Benchmark) -> Cell:
    return drawn.model_copy(
        update={
            "method": method,
            "adapter": recipe.adapter,
            "learning_rate": learning_rate,
            "epochs": recipe.epochs,
            "batch_size": recipe.batch_size,
            "target_tokens": min(recipe.target_tokens, benchmark.max_new_tokens),
        }
    )
