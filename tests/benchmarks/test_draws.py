"""The published draws, as vectors recorded from the paper's code."""

from __future__ import annotations

from collections import Counter

import numpy as np

from ia2_eval.benchmarks import BENCHMARKS, BenchmarkData, Example, draw_training_set, per_query_demonstrations
from ia2_eval.benchmarks.prompts import remap_words, sciq_choices
from ia2_eval.benchmarks.selection import shuffled
from tests.benchmarks.hub_rows import sciq


def pool_of(size: int) -> BenchmarkData:
    pool = tuple(Example(f"Text:{i}\nLabel:", str(i % 2)) for i in range(size))
    return BenchmarkData(BENCHMARKS["sst2"], pool, pool[:1], (), "")


def test_shuffle_is_that_of_the_datasets_library() -> None:
    assert shuffled(list(range(872)))[:8] == [726, 737, 51, 482, 426, 330, 243, 7]


def test_training_set_of_seed_0() -> None:
    drawn = draw_training_set(pool_of(2000), 4, 0)
    assert drawn.train_indices == (405, 1190, 1132, 731)
    assert drawn.dev_indices == (1754, 1178)
    assert drawn.demonstration_order == ((2, 3, 1), (0, 3, 2), (0, 3, 1), (2, 0, 1))


def test_demonstrations_drawn_for_each_query() -> None:
    data = pool_of(2000)
    drawn = draw_training_set(data, 4, 0)
    assert len(drawn.remaining_indices) == 1994
    expected = [[1805, 1311, 960], [1271, 1505, 1202], [1643, 879, 1205]]
    assert per_query_demonstrations(data, drawn, 3) == [
        tuple(data.pool[drawn.remaining_indices[i]] for i in draw) for draw in expected
    ]


def test_label_words() -> None:
    words = ("apple", "Friday", "banana", "Saturday", "Thursday", "Sunday", "Wednesday", "Monday")
    assert remap_words(np.random.RandomState(42), 8) == words
    assert BENCHMARKS["qascr"].labels == words
    assert BENCHMARKS["sciqr"].labels == words[:4]


def test_sciq_option_order_runs_through_pool_and_evaluation_set() -> None:
    labels = ["apple", "Friday", "banana", "Saturday"]
    correct = [labels.index(example.answer) for example in sciq_choices([sciq(i) for i in range(2500)])]
    assert correct[:10] == [0, 2, 3, 3, 0, 3, 0, 3, 2, 2]
    assert correct[2000:2010] == [1, 1, 1, 3, 1, 2, 0, 0, 2, 3]
    assert [Counter(correct[:2000])[i] for i in range(4)] == [473, 496, 514, 517]
    assert [Counter(correct[2000:])[i] for i in range(4)] == [116, 126, 126, 132]


def test_the_global_generator_is_left_alone() -> None:
    np.random.seed(7)
    expected = np.random.random()
    np.random.seed(7)
    data = pool_of(50)
    per_query_demonstrations(data, draw_training_set(data, 4, 0), 2)
    sciq_choices([sciq(0)])
    shuffled(list(range(5)))
    assert np.random.random() == expected
