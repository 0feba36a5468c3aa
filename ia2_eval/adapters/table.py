"""A short table of the results of many adapters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ia2_eval.adapters.results import OURS
from ia2_eval.adapters.settings import EvaluationSettings
from ia2_eval.benchmarks import get_benchmark
from ia2_eval.leaderboard.results.headline import PUBLISHED, Headline, headline
from ia2_eval.leaderboard.tables.caption import ACCURACIES, CONFIDENCES
from ia2_eval.protocol import Protocol
from ia2_eval.scoring.calibration import BINS

OTHERS = Headline("acc", "ece", "answer", "equal-width")
"""Of groups, which have these means only, and of lm-eval's own tasks, which may have them."""

Headlines = Mapping[bool | None, Headline]
"""What is shown of tasks with labels of one token, with generated texts, and of what is neither (None)."""


class Row(NamedTuple):
    """One task or group of one adapter."""

    task: str
    single_token: bool | None
    """None for groups and for lm-eval's own tasks."""
    n: int | None
    metric: str
    """That of the protocol, or the first metric of a task that has none such."""
    value: float
    ece: float | None
    ece_n: int | None
    """Examples that the ECE is computed from: with generated answers, those that have one."""


def headlines(protocol: Protocol, all_results: Iterable[Mapping[str, Any]]) -> Headlines:
    """The same for all results, as in leaderboards."""
    single_token = [
        found.keys()
        for results in all_results
        for task, found in results["results"].items()
        if _single_token(results, task)
    ]
    wanted = {f"{PUBLISHED.accuracy},none", f"{PUBLISHED.calibration},none"}
    published = bool(single_token) and all(wanted <= names for names in single_token)
    return {True: headline(protocol, True, published), False: headline(protocol, False, published), None: OTHERS}


def rows(results: Mapping[str, Any], shown: Headlines) -> Iterator[Row]:
    """One for each task and group, from results as lm-eval writes them."""
    for task, found in results["results"].items():
        metrics = values(found)
        if not metrics:
            continue  # a group without metrics of its own
        single_token = _single_token(results, task)
        wanted = shown[single_token]
        name = wanted.accuracy if wanted.accuracy in metrics else next(iter(metrics))
        n, ece_n = results["n-samples"].get(task, {}).get("effective"), results[OURS]["ece_n"].get(task)
        yield Row(task, single_token, n, name, metrics[name], metrics.get(wanted.calibration), ece_n)


def values(found: Mapping[str, Any]) -> dict[str, float]:
    """The metrics among what lm-eval has of a task."""
    return {
        name.removesuffix(",none"): value
        for name, value in found.items()
        if isinstance(value, float) and "stderr" not in name
    }


def sentence(results: Mapping[str, Any], shown: Headlines) -> str:
    """The same in one line."""
    return "; ".join(
        f"{row.task} {row.metric} {row.value:.3f}"
        + (f" (n = {row.n})" if row.n else "")
        + (f", ECE {_ece(row)}" if row.ece is not None else "")
        for row in rows(results, shown)
    )


def print_table(
    by_adapter: Mapping[str, Mapping[str, Any]],
    labels: Mapping[str, str],
    settings: EvaluationSettings,
    shown: Headlines,
    console: Console,
) -> None:
    """Adapters and tasks in rows; accuracy and ECE with the number of examples that they are computed from.

    Args:
        by_adapter: results by the adapter's name.
        labels: what an adapter is, by its name, for those that come from a run.
        settings: of the evaluation.
        shown: which metrics.
        console: to print on.
    """
    table = Table(box=SIMPLE_HEAD)
    table.add_column("adapter", overflow="fold")
    if labels:
        table.add_column("of the run", overflow="fold")
    table.add_column("task", overflow="fold")
    for column in ("n", "acc", "ECE"):
        table.add_column(column, justify="right")
    kinds = set()
    for name, results in by_adapter.items():
        for number, row in enumerate(rows(results, shown)):
            kinds.add(row.single_token)
            mean = settings.paper and row.single_token is None  # of strict metrics: groups have no others
            plain = row.metric == shown[row.single_token].accuracy and not mean
            value = f"{row.value:.3f}" if plain else f"{row.metric} {row.value:.3f}"
            ece = f"ece {_ece(row)}" if mean and row.ece is not None else _ece(row)
            named = [name, labels.get(name, "")] if labels else [name]
            table.add_row(*([""] * len(named) if number else named), row.task, str(row.n or ""), value, ece)
    console.print(table)
    console.print(" ".join(_caption(settings, shown, kinds)), markup=False, highlight=False)


def _caption(settings: EvaluationSettings, shown: Headlines, kinds: set[bool | None]) -> Iterator[str]:
    yield f"Protocol {settings.protocol}, {_shots(settings)}, seed {settings.seed}."
    if True in kinds:
        labels = shown[True]
        yield (
            f"Labels: acc: {ACCURACIES[labels.accuracy]}; ECE ({labels.calibration}): {BINS} {labels.bins} bins of "
            f"{CONFIDENCES[labels.confidence]}."
        )
    if False in kinds:
        texts = shown[False]
        yield (
            f"Generated texts: acc: answers read from the text; ECE ({texts.calibration}): {BINS} {texts.bins} bins of "
            f"{CONFIDENCES[texts.confidence]}."
        )


def _shots(settings: EvaluationSettings) -> str:
    n = settings.num_fewshot
    if settings.paper:
        return f"N = {n} (demonstrations per query: {n - 1})" if n else "no demonstrations"
    return "demonstrations as the tasks say" if n is None else f"demonstrations: {n}"


def _single_token(results: Mapping[str, Any], task: str) -> bool | None:
    name = (results["configs"].get(task, {}).get("metadata") or {}).get("ia2_eval")
    return get_benchmark(name).single_token if name else None


def _ece(row: Row) -> str:
    if row.ece is None:
        return ""
    return f"{row.ece:.3f}" + ("" if row.ece_n in (row.n, None) else f" (n = {row.ece_n})")
