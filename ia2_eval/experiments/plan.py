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
from ia2_eval.experiments.cell import UNTRAINED, Cell, Method
from ia2_eval.experiments.recipe import Recipe, Source
from ia2_eval.lm.base_model import Base


def plan(recipe: Recipe, base: Base, data: dict[str, BenchmarkData]) -> list[Cell]:
    """Every cell of a recipe, in the order in which they are best run.

    Cells of one training set stand together, so that what the teacher did is collected once for all of them, and `ia2`
    stands before `ia2_sft`, which starts from its adapter.

    Args:
        base: the recipe's base with its fingerprint.
        data: what `load_data` gave for the recipe.

    Raises:
        UserError: a benchmark that no training set is drawn from, a pool too small for an N, or no learning rate.
    """
    trained = [method for method in recipe.methods if method not in UNTRAINED]
    if trained and not recipe.learning_rates:
        raise UserError(f"the recipe {recipe.name!r} trains ({', '.join(trained)}) but lists no learning_rates")
    cells = [cell for source in recipe.benchmarks for cell in _source_cells(recipe, base, source, data)]
    return list({cell.key: cell for cell in cells}.values())


def load_data(recipe: Recipe, data_dir: Path | None = None) -> dict[str, BenchmarkData]:
    """The benchmarks that a recipe learns from and is evaluated on, by name.

    Raises:
        UserError: an unknown benchmark, one that the source is not evaluated on, or data that cannot be loaded.
    """
    names = [name for source in recipe.benchmarks for name in (source.source, *_evals(source))]
    return {name: load_benchmark(name, data_dir) for name in dict.fromkeys(names)}


def _evals(source: Source) -> tuple[str, ...]:
    benchmark = get_benchmark(source.source)
    known = (benchmark.name, *benchmark.out_of_distribution)
    for name in source.evals or ():
        if name not in known:
            raise UserError(f"{benchmark.name} is not evaluated on {name!r}.{did_you_mean(name, known)}")
    return source.evals or known


def _source_cells(recipe: Recipe, base: Base, source: Source, data: dict[str, BenchmarkData]) -> Iterator[Cell]:
    from ia2_training import METHODS

    benchmark = get_benchmark(source.source)
    evals = _evals(source)
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
                for method in METHODS:
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
