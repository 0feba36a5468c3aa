"""From a recipe to the cells that it stands for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from math import factorial
from operator import itemgetter
from pathlib import Path

from ia2_eval.benchmarks import (
    BenchmarkData,
    draw_low_data,
    draw_training_set,
    get_benchmark,
    joint_fingerprint,
    load_benchmark,
    per_query_demonstrations,
)
from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.experiments.adapter_specs import AdapterSpec
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.method_options import MethodVariant
from ia2_eval.experiments.recipe import Recipe, Source
from ia2_eval.lm.base_model import Base


def plan(recipe: Recipe, base: Base, data: dict[str, BenchmarkData]) -> list[Cell]:
    """Every cell of a recipe, in the order in which they are best run.

    Cells of one size of the training set stand together, so that what the teacher did is collected once for all of
    them. Among these, cells that differ in seed and learning rate only follow each other, for they can be trained
    together, and `ia2` stands before `ia2_sft`, which starts from its adapters.

    Args:
        base: the recipe's base with its fingerprint.
        data: what `load_data` gave for the recipe.

    Raises:
        UserError: a benchmark that no training set is drawn from, a pool too small for an N or for the queries of
            `low_data`, more orders of demonstrations than there are, no learning rate, or an option of evaluations
            that concerns none of the cells; the key is named.
    """
    trained = [variant.method for variant in recipe.variants if variant.trained]
    if trained and not recipe.grid:
        methods = ", ".join(dict.fromkeys(trained))
        raise UserError(f"learning_rates: is missing or empty, but {methods} must be trained with at least one")
    _refuse_missing_orders(recipe)
    _refuse_idle_options(recipe)
    cells = []
    for i, source in enumerate(recipe.benchmarks):
        with _naming(f"benchmarks.{i}"):  # its source, its n, or low_data, which the message says
            cells += list(_source_cells(recipe, base, source, data))
    return list({cell.key: cell for cell in cells}.values())


def load_data(recipe: Recipe, data_dir: Path | None = None) -> dict[str, BenchmarkData]:
    """The benchmarks that a recipe learns from and is evaluated on, by name.

    Raises:
        UserError: an unknown benchmark, one that the source is not evaluated on, or data that cannot be loaded.
    """
    names: list[str] = []
    for i, source in enumerate(recipe.benchmarks):
        with _naming(f"benchmarks.{i}.source"):
            get_benchmark(source.source)
        with _naming(f"benchmarks.{i}.evals"):
            names += (source.source, *_evals(source))
    return {name: load_benchmark(name, data_dir) for name in dict.fromkeys(names)}


def _evals(source: Source) -> tuple[str, ...]:
    benchmark = get_benchmark(source.source)
    known = (benchmark.name, *benchmark.out_of_distribution)
    for name in source.evals or ():
        if name not in known:
            raise UserError(f"{benchmark.name} is not evaluated on {name!r}.{did_you_mean(name, known)}")
    return source.evals or known


def _source_cells(recipe: Recipe, base: Base, source: Source, data: dict[str, BenchmarkData]) -> Iterator[Cell]:
    benchmark = get_benchmark(source.source)
    evals = _evals(source)
    no_icl = Cell(
        base=base,
        source=benchmark.name,
        method="no_icl",
        protocol=recipe.protocol,
        evals=evals,
        limit=recipe.limit,
        agreement=None if benchmark.single_token else recipe.agreement,
        data=joint_fingerprint(data[name] for name in (benchmark.name, *evals)),
    )
    methods = [variant.method for variant in recipe.variants]
    if "no_icl" in methods:
        yield no_icl
    scaled = True if recipe.temperature_scaling and benchmark.single_token else None
    for n in source.n:
        drawn = [
            no_icl.model_copy(update={"n": n, "seed": seed, "temperature_scaling": scaled}) for seed in recipe.seeds
        ]
        for cell in drawn:
            _refuse_too_large(n, cell.seed, data[benchmark.name], recipe)
        if "icl" in methods:
            yield from (cell.model_copy(update={"method": "icl"}) for cell in drawn)
        training = {
            "epochs": recipe.epochs,
            "batch_size": recipe.batch_size,
            "target_tokens": min(recipe.target_tokens, benchmark.max_new_tokens),
        }
        for adapter, rates in _by_adapter(recipe):
            for variant in _in_order_of_training(recipe.variants):
                for cell in drawn:
                    for rate in rates:
                        settings = dict(variant) | {"adapter": adapter, "learning_rate": rate} | training
                        yield cell.model_copy(update=settings)


def _by_adapter(recipe: Recipe) -> list[tuple[AdapterSpec, list[float]]]:
    return [(adapter, [rate for _, rate in same]) for adapter, same in groupby(recipe.grid, key=itemgetter(0))]


def _in_order_of_training(variants: tuple[MethodVariant, ...]) -> list[MethodVariant]:
    """The trained ones: first those that ask most of the teacher, so that it is asked once for all, then in the order
    of METHODS, where a method stands after the one that it continues."""
    from ia2_training import METHODS

    def place(variant: MethodVariant) -> tuple[bool, bool, int, int]:
        asks = variant.training_method.asks_distributions
        return not asks, variant.top_k is not None, -(variant.top_k or 0), list(METHODS).index(variant.method)

    return sorted((variant for variant in variants if variant.trained), key=place)


@contextmanager
def _naming(key: str) -> Iterator[None]:
    """Put the key of the recipe before the message of a UserError."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{key}: {error}") from error


def _refuse_missing_orders(recipe: Recipe) -> None:
    n = min(size for source in recipe.benchmarks for size in source.n)
    for i, entry in enumerate(recipe.methods):
        if entry.demonstration_orders and entry.demonstration_orders > factorial(n - 1):
            raise UserError(
                f"methods.{i}.demonstration_orders: with N={n} an example has {_counted(n - 1, 'demonstration')}, of "
                f"which there {_orders(n - 1)} (found {entry.demonstration_orders})"
            )
        if entry.low_data and entry.low_data.orders > factorial(n):
            raise UserError(
                f"methods.{i}.low_data.orders: with N={n} a query has {_counted(n, 'demonstration')}, of which there "
                f"{_orders(n)} (found {entry.low_data.orders})"
            )


def _refuse_idle_options(recipe: Recipe) -> None:
    single_token = [get_benchmark(source.source).single_token for source in recipe.benchmarks]
    if recipe.temperature_scaling and not any(single_token):
        raise UserError("temperature_scaling: no benchmark of this recipe has answers of a single token; leave it out")
    if recipe.temperature_scaling and all(variant.method == "no_icl" for variant in recipe.variants):
        raise UserError("temperature_scaling: no_icl has no dev set to fit a temperature to; add icl, or leave it out")
    if recipe.agreement and all(single_token):
        raise UserError("agreement: no benchmark of this recipe has answers of several tokens; leave it out")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _orders(demonstrations: int) -> str:
    count = factorial(demonstrations)
    return f"{'is' if count == 1 else 'are'} {demonstrations}! = {_counted(count, 'order')}"


def _refuse_too_large(n: int, seed: int | None, data: BenchmarkData, recipe: Recipe) -> None:
    """Draws what the cells will draw, so that an N that the pool cannot give is refused before anything runs."""
    assert seed is not None
    training_set = draw_training_set(data, n, seed)
    if recipe.protocol == "paper" and any(variant.method == "icl" for variant in recipe.variants):
        per_query_demonstrations(data, training_set, count=1)
    for variant in recipe.variants:
        if variant.low_data:
            draw_low_data(data, training_set, variant.low_data.unlabelled, orders=1)
