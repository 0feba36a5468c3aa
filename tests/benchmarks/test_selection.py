"""Which rows become the pool and the evaluation set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ia2_eval.benchmarks import BENCHMARKS, Example, load_benchmark
from tests.benchmarks.hub_rows import DATA_SETS, ag_news, financial, poem, sst2, strategy, write_rows


def order(count: int) -> list[int]:
    return [int(i) for i in np.random.default_rng(42).permutation(count)]


def test_two_splits_are_capped(tmp_path: Path) -> None:
    write_rows(tmp_path / "ag_news/train.jsonl", [ag_news(i) for i in range(2100)])
    write_rows(tmp_path / "ag_news/test.jsonl", [ag_news(i) for i in range(5000, 5600)])
    data = load_benchmark("agn", tmp_path)
    assert data.pool == tuple(BENCHMARKS["agn"].examples([ag_news(i) for i in order(2100)[:2000]]))
    assert data.evaluation == tuple(BENCHMARKS["agn"].examples([ag_news(5000 + i) for i in order(600)[:500]]))
    assert data.notes == ()


def test_small_splits_are_shuffled_whole_and_noted(hub_rows: Path) -> None:
    data = load_benchmark("sst2", hub_rows)
    assert data.pool == tuple(BENCHMARKS["sst2"].examples([sst2(i) for i in order(90)]))
    assert data.evaluation == tuple(BENCHMARKS["sst2"].examples([sst2(90 + i) for i in order(30)]))
    assert [note.split(" (")[0] for note in data.notes] == [
        "the pool has 90 examples",
        "the evaluation set has 30 examples",
    ]


def test_fins_is_shuffled_then_filtered_and_not_shuffled_again(hub_rows: Path) -> None:
    data = load_benchmark("fins", hub_rows)
    kept = [financial(i) for i in order(900) if i % 3 != 1]
    assert data.pool == tuple(BENCHMARKS["fins"].examples(kept[:100]))
    assert data.evaluation == tuple(BENCHMARKS["fins"].examples(kept[100:]))
    assert "kept 600 of 900 rows: those with label 0 or 2" in data.notes


def test_poems_are_filtered_then_shuffled(hub_rows: Path) -> None:
    data = load_benchmark("poems", hub_rows)
    kept = [poem(i) for i in range(60) if i % 4 in (0, 1)]
    assert data.pool == ()
    assert data.evaluation == tuple(BENCHMARKS["poems"].examples([kept[i] for i in order(30)]))
    assert "kept 30 of 60 rows: those with label 0 or 1" in data.notes


def test_stf_parts_are_shuffled_again(hub_rows: Path) -> None:
    data = load_benchmark("stf", hub_rows)
    rows = [strategy(i) for i in order(580)]
    pool, evaluation = rows[:80], rows[80:]
    assert data.pool == tuple(BENCHMARKS["stf"].examples([pool[i] for i in order(80)]))
    assert data.evaluation == tuple(BENCHMARKS["stf"].examples([evaluation[i] for i in order(500)]))


def test_sciq_options_of_the_evaluation_set_continue_the_stream_of_the_pool(hub_rows: Path) -> None:
    data = load_benchmark("sciqr", hub_rows)
    row, splits = DATA_SETS["sciq"]
    rows = [row(i) for i in order(splits["train"])] + [row(90 + i) for i in order(splits["validation"])]
    assert data.pool + data.evaluation == tuple(BENCHMARKS["sciqr"].examples(rows))
    assert any("another order than the paper's" in note for note in data.notes)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_pool_and_evaluation_set_share_no_example(name: str, hub_rows: Path) -> None:
    data = load_benchmark(name, hub_rows)
    assert not set(data.pool) & set(data.evaluation)
    assert data.evaluation
    assert all(isinstance(example, Example) for example in data.pool + data.evaluation)


@pytest.mark.parametrize("name", [name for name in BENCHMARKS if not name.startswith("embedded_")])
def test_real_rows(name: str, real_rows: Path) -> None:
    data = load_benchmark(name, real_rows)
    assert len(data.pool) in {"fins": {750}, "stf": {1740}, "hmatha": {1743}}.get(name, {0, 2000})
    assert len(data.evaluation) == {"poems": 288, "bbcn": 400}.get(name, 500)
    labels = data.benchmark.labels
    assert labels is None or {example.answer for example in data.evaluation} == set(labels)


def test_real_sciq_label_counts(real_rows: Path) -> None:
    evaluation = load_benchmark("sciqr", real_rows).evaluation
    counts = [sum(example.answer == word for example in evaluation) for word in BENCHMARKS["sciqr"].labels or ()]
    assert counts == [116, 126, 126, 132]
