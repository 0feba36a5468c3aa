from __future__ import annotations

from pathlib import Path

import pytest

from ia2_eval.benchmarks import (
    BENCHMARKS,
    BenchmarkData,
    Example,
    draw_training_set,
    load_benchmark,
    per_query_demonstrations,
    with_demonstrations,
)
from ia2_eval.benchmarks.training_set import draw_order
from ia2_eval.errors import UserError


def pool_of(size: int) -> BenchmarkData:
    pool = tuple(Example(f"Text:{i}\nLabel:", str(i % 2)) for i in range(size))
    return BenchmarkData(BENCHMARKS["sst2"], pool, pool[:1], (), "")


def test_sets_of_one_seed_are_nested() -> None:
    data = pool_of(400)
    small, large = draw_training_set(data, 8, 3), draw_training_set(data, 16, 3)
    assert large.train[:8] == small.train
    assert set(small.dev) <= set(large.train)
    assert draw_order(data, 3)[:16] == large.train


def test_seeds_differ_and_repeat() -> None:
    data = pool_of(400)
    assert draw_training_set(data, 8, 0) == draw_training_set(data, 8, 0)
    assert draw_training_set(data, 8, 0).train != draw_training_set(data, 8, 1).train


@pytest.mark.parametrize(("n", "dev"), [(2, 1), (3, 1), (4, 2), (96, 48), (97, 48), (128, 48)])
def test_parts_split_the_pool(n: int, dev: int) -> None:
    drawn = draw_training_set(pool_of(400), n, 1)
    assert (len(drawn.train), len(drawn.dev)) == (n, dev)
    assert sorted(drawn.train_indices + drawn.dev_indices + drawn.remaining_indices) == list(range(400))


def test_demonstrations_leave_the_query_out() -> None:
    drawn = draw_training_set(pool_of(400), 8, 2)
    assert drawn.demonstrations == drawn.train
    for i in range(8):
        shown = drawn.train_demonstrations(i)
        assert sorted(map(repr, shown)) == sorted(repr(e) for k, e in enumerate(drawn.train) if k != i)
    assert any(drawn.train_demonstrations(i) != drawn.train[:i] + drawn.train[i + 1 :] for i in range(8))


def test_dev_demonstrations_by_protocol() -> None:
    drawn = draw_training_set(pool_of(400), 8, 2)
    assert drawn.dev_demonstrations(3, "strict") == drawn.train
    assert drawn.dev_demonstrations(3, "paper") == drawn.train_demonstrations(3)


def test_per_query_demonstrations_come_from_what_is_left() -> None:
    data = pool_of(60)
    drawn = draw_training_set(data, 8, 2)
    shown = per_query_demonstrations(data, drawn, 20)
    assert len(shown) == 20
    for examples in shown:
        assert len(examples) == 7 == len(set(examples))
        assert not set(examples) & {*drawn.train, *drawn.dev}
    assert len(set(shown)) > 1
    assert per_query_demonstrations(data, drawn, 5) == shown[:5]


def test_with_demonstrations() -> None:
    shown = (Example("Text:a\nLabel:", "0"), Example("Text:b\nLabel:", "1"))
    assert with_demonstrations(shown, "Text:c\nLabel:") == "Text:a\nLabel:0\n\nText:b\nLabel:1\n\nText:c\nLabel:"
    assert with_demonstrations((), "Text:c\nLabel:") == "Text:c\nLabel:"
    assert with_demonstrations(shown, "") + "Text:c\nLabel:" == with_demonstrations(shown, "Text:c\nLabel:")


@pytest.mark.parametrize("n", [1, 0, -4])
def test_n_below_2_is_refused(n: int) -> None:
    with pytest.raises(UserError, match=f"N is {n}, but a training set needs at least 2 examples"):
        draw_training_set(pool_of(10), n, 0)


def test_too_few_rows_name_the_numbers() -> None:
    with pytest.raises(UserError, match="sst2 has 11 examples in its pool, but N=8 needs 12: 8 to train on and 4 for"):
        draw_training_set(pool_of(11), 8, 0)
    assert draw_training_set(pool_of(12), 8, 0).remaining_indices == ()


def test_too_few_rows_for_per_query_demonstrations() -> None:
    data = pool_of(14)
    with pytest.raises(UserError, match=r"sst2 has 2 examples left .* but a query needs 7 demonstrations"):
        per_query_demonstrations(data, draw_training_set(data, 8, 0), 1)


@pytest.mark.parametrize(
    ("name", "why", "instead"),
    [
        ("poems", "its training split is the evaluation set", "Train on sst2 or fins"),
        ("bbcn", "AG News", "Train on agn"),
        ("qascr", "SciQ", "Train on sciqr"),
        ("gsm8ks", "would overlap", "Train on gsm8k"),
    ],
)
def test_benchmarks_that_only_evaluate_are_refused(name: str, why: str, instead: str, hub_rows: Path) -> None:
    with pytest.raises(UserError, match=f"{why}.*{instead} and evaluate on {name}"):
        draw_training_set(load_benchmark(name, hub_rows), 4, 0)
