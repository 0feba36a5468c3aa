from __future__ import annotations

from itertools import permutations

import pytest

from ia2_eval.benchmarks import BENCHMARKS, BenchmarkData, Example, draw_low_data, draw_training_set
from ia2_eval.errors import UserError


def pool_of(size: int) -> BenchmarkData:
    pool = tuple(Example(f"Text:{i}\nLabel:", str(i % 2)) for i in range(size))
    return BenchmarkData(BENCHMARKS["sst2"], pool, pool[:1], (), "")


DATA = pool_of(60)


def test_queries_are_the_next_examples_of_the_pool() -> None:
    drawn = draw_training_set(DATA, 8, 3)
    queries = draw_low_data(DATA, drawn, unlabelled=16, orders=1)
    assert [query.prompt for query in queries] == [DATA.pool[i].prompt for i in drawn.remaining_indices[:16]]
    used = {example.prompt for example in (*drawn.train, *drawn.dev)}
    assert not used & {query.prompt for query in queries}
    assert draw_low_data(DATA, drawn, 20, 1)[:16] == queries


def test_the_teacher_is_shown_all_training_examples_in_orders_of_its_own() -> None:
    drawn = draw_training_set(DATA, 8, 3)
    queries = draw_low_data(DATA, drawn, unlabelled=5, orders=3)
    assert len(queries) == 15
    for start in range(0, 15, 3):
        of_query = queries[start : start + 3]
        assert len({query.prompt for query in of_query}) == 1
        assert len({query.demonstrations for query in of_query}) == 3
        for query in of_query:
            assert sorted(map(repr, query.demonstrations)) == sorted(map(repr, drawn.train))
    assert len({queries[start].demonstrations for start in range(0, 15, 3)}) > 1  # drawn for each query
    fewer = draw_low_data(DATA, drawn, unlabelled=5, orders=2)
    assert fewer == tuple(query for i, query in enumerate(queries) if i % 3 < 2)


def test_there_are_no_more_orders_than_permutations() -> None:
    drawn = draw_training_set(DATA, 3, 0)
    queries = draw_low_data(DATA, drawn, unlabelled=2, orders=100)
    assert len(queries) == 2 * 6
    for of_query in (queries[:6], queries[6:]):
        assert {query.demonstrations for query in of_query} == set(permutations(drawn.train))


def test_seeds_differ_and_repeat() -> None:
    first, second = (draw_training_set(DATA, 8, seed) for seed in (0, 1))
    assert draw_low_data(DATA, first, 4, 2) == draw_low_data(DATA, first, 4, 2)
    assert draw_low_data(DATA, first, 4, 2) != draw_low_data(DATA, second, 4, 2)


def test_labels_of_the_queries_play_no_part() -> None:
    drawn = draw_training_set(DATA, 8, 3)
    left = set(drawn.remaining_indices)
    pool = tuple(Example(e.prompt, "other") if i in left else e for i, e in enumerate(DATA.pool))
    relabelled = BenchmarkData(DATA.benchmark, pool, DATA.evaluation, (), "")
    assert draw_low_data(relabelled, drawn, 16, 2) == draw_low_data(DATA, drawn, 16, 2)


def test_a_pool_that_is_too_small_names_the_numbers() -> None:
    drawn = draw_training_set(DATA, 8, 3)
    assert len(draw_low_data(DATA, drawn, 48, 1)) == 48
    with pytest.raises(UserError, match=r"sst2 has 48 examples left .* asks for 49 unlabelled queries"):
        draw_low_data(DATA, drawn, 49, 1)
