"""The data of an lm-eval task: what `custom_dataset:` and `doc_to_text:` in `tasks/*.yaml` call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from ia2_eval.benchmarks.benchmark import Benchmark, BenchmarkData, Example
from ia2_eval.benchmarks.load import load_benchmark
from ia2_eval.benchmarks.training_set import (
    draw_order,
    draw_training_set,
    per_query_demonstrations,
    with_demonstrations,
)
from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.protocol import Protocol

if TYPE_CHECKING:
    from datasets import DatasetDict

KEYS = ("ia2_source", "ia2_eval", "ia2_seed", "ia2_n", "ia2_protocol", "ia2_data_dir")
MTBENCH_KEYS = ("ia2_bench", "ia2_prompts", "ia2_clean_up")
"""Of the MT-Bench tasks: the metadata of a command are those of all its tasks."""
PROTOCOLS: tuple[str, ...] = get_args(Protocol)


def load(
    *,
    ia2_eval: str,
    ia2_source: str | None = None,
    ia2_seed: int = 0,
    ia2_n: int | None = None,
    ia2_protocol: Protocol = "strict",
    ia2_data_dir: str | None = None,
    **others: object,
) -> DatasetDict:
    """Demonstrations (split `train`) and queries (split `test`) of a task.

    Under `strict` the split `train` is the source's pool in the order of draws, so that lm-eval's `first_n` sampler
    with `--num_fewshot N` shows exactly D_T(N, ia2_seed). Under `paper` it is empty: the demonstrations, N - 1 drawn
    afresh for every query, are in the column `demonstrations`, and asking for few-shot examples beside them fails.

    Args:
        ia2_eval: benchmark that the queries come from.
        ia2_source: benchmark that the demonstrations come from; None for a task without demonstrations.
        ia2_seed: seed of D_T.
        ia2_n: N of D_T. Under `strict`, cuts `train` to D_T(N, ia2_seed); under `paper`, turns demonstrations on.
        ia2_protocol: which decisions the scoring follows.
        ia2_data_dir: local data directory; None for `IA2_DATA_DIR`, else the hub.
        others: what lm-eval passes along: the task's version and every model argument. Ignored.

    Raises:
        UserError: an unknown `ia2_` key, a wrong value, or data that cannot be loaded.
    """
    _refuse_unknown_keys(others)
    _refuse_wrong_values(ia2_seed, ia2_n, ia2_protocol)
    data_dir = Path(ia2_data_dir) if ia2_data_dir else None
    queries = load_benchmark(ia2_eval, data_dir)
    demonstrations: Iterable[str] = [""] * len(queries.evaluation)
    train: Sequence[Example] = ()
    if ia2_source is not None:
        source = queries if ia2_source == ia2_eval else load_benchmark(ia2_source, data_dir)
        if ia2_protocol == "strict":
            train = _train(source, ia2_seed, ia2_n)
        elif ia2_n is not None:
            training_set = draw_training_set(source, ia2_n, ia2_seed)
            drawn = per_query_demonstrations(source, training_set, len(queries.evaluation))
            demonstrations = [with_demonstrations(examples, "") for examples in drawn]
    return _dataset(queries.benchmark, train, queries.evaluation, demonstrations, ia2_protocol)


def prompt(doc: Mapping[str, str]) -> str:
    """What the model is to answer, behind the demonstrations that stand in the document itself."""
    return doc["demonstrations"] + doc["prompt"]


def _train(source: BenchmarkData, seed: int, n: int | None) -> tuple[Example, ...]:
    return draw_order(source, seed) if n is None else draw_training_set(source, n, seed).train


def _dataset(
    benchmark: Benchmark,
    train: Sequence[Example],
    test: Sequence[Example],
    demonstrations: Iterable[str],
    protocol: str,
) -> DatasetDict:
    from datasets import Dataset, DatasetDict, Features, Value

    text = Value("string")
    features = Features(
        prompt=text,
        answer=text,
        choices=[text],
        gold=Value("int64"),
        answer_format=text,
        demonstrations=text,
        protocol=text,
    )

    def row(example: Example, shown: str) -> dict[str, Any]:
        labels = benchmark.labels or ()
        return {
            "prompt": example.prompt,
            "answer": example.answer,
            "choices": list(labels),
            "gold": labels.index(example.answer) if labels else -1,
            "answer_format": benchmark.answer_format or "",
            "demonstrations": shown,
            "protocol": protocol,
        }

    def split(rows: list[dict[str, Any]]) -> Dataset:
        return Dataset.from_dict({column: [row[column] for row in rows] for column in features}, features=features)

    return DatasetDict(
        train=split([row(example, "") for example in train]),
        test=split([row(*pair) for pair in zip(test, demonstrations, strict=True)]),
    )


def _refuse_unknown_keys(others: Iterable[str]) -> None:
    for key in others:
        if key.startswith("ia2_") and key not in MTBENCH_KEYS:
            raise UserError(f"Unknown metadata key {key!r}.{did_you_mean(key, KEYS)}")


def _refuse_wrong_values(seed: object, n: object, protocol: object) -> None:
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise UserError(f"ia2_seed must be a whole number from 0 to 2**32 - 1, found {seed!r}.")
    if n is not None and type(n) is not int:
        raise UserError(f"ia2_n must be a whole number, found {n!r}.")
    if protocol not in PROTOCOLS:
        raise UserError(f"ia2_protocol is {protocol!r}.{did_you_mean(str(protocol), PROTOCOLS)}")
