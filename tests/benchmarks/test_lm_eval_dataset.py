from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ia2_eval.benchmarks import draw_training_set, load_benchmark, per_query_demonstrations, with_demonstrations
from ia2_eval.benchmarks.lm_eval_dataset import load
from ia2_eval.errors import UserError


def test_train_is_the_pool_in_the_order_of_draws(hub_rows: Path) -> None:
    data = load_benchmark("sst2", hub_rows)
    train = load(ia2_source="sst2", ia2_eval="sst2", ia2_seed=3, ia2_data_dir=str(hub_rows))["train"]
    assert len(train) == len(data.pool)
    for n in (2, 4, 16):
        drawn = draw_training_set(data, n, 3)
        assert [(row["prompt"], row["answer"]) for row in train.select(range(n))] == [
            (example.prompt, example.answer) for example in drawn.train
        ]


def test_n_cuts_train(hub_rows: Path) -> None:
    every = load(ia2_source="sst2", ia2_eval="sst2", ia2_data_dir=str(hub_rows))["train"]
    cut = load(ia2_source="sst2", ia2_eval="sst2", ia2_n=4, ia2_data_dir=str(hub_rows))["train"]
    assert cut.to_list() == every.to_list()[:4]


def test_rows_of_a_single_token_benchmark(hub_rows: Path) -> None:
    data = load_benchmark("sciqr", hub_rows)
    dataset = load(ia2_source="sciqr", ia2_eval="sciqr", ia2_data_dir=str(hub_rows))
    assert dataset["train"].features == dataset["test"].features
    assert len(dataset["test"]) == len(data.evaluation)
    for row, example in zip(dataset["test"], data.evaluation, strict=True):
        assert (row["prompt"], row["answer"]) == (example.prompt, example.answer)
        assert row["choices"] == ["apple", "Friday", "banana", "Saturday"]
        assert row["choices"][row["gold"]] == example.answer
        assert (row["answer_format"], row["demonstrations"], row["protocol"]) == ("", "", "strict")


def test_rows_of_a_multi_token_benchmark(hub_rows: Path) -> None:
    dataset = load(ia2_source="gsm8k", ia2_eval="gsm8ks", ia2_data_dir=str(hub_rows))
    row = dataset["test"][0]
    assert (row["choices"], row["gold"], row["answer_format"]) == ([], -1, "hash_line")
    assert dataset["train"].features == dataset["test"].features


def test_demonstrations_of_the_source_for_queries_of_the_partner(hub_rows: Path) -> None:
    dataset = load(ia2_source="sst2", ia2_eval="fins", ia2_data_dir=str(hub_rows))
    assert dataset["train"][0]["prompt"].startswith("Text:review")
    assert dataset["test"][0]["prompt"].startswith("Text:result")


def test_without_a_source_there_is_nothing_to_show(hub_rows: Path) -> None:
    dataset = load(ia2_eval="poems", ia2_seed=1, ia2_n=4, ia2_data_dir=str(hub_rows))
    assert len(dataset["train"]) == 0
    assert set(dataset["test"]["demonstrations"]) == {""}


def test_paper_protocol_shows_other_demonstrations_to_every_query(hub_rows: Path) -> None:
    data = load_benchmark("sst2", hub_rows)
    dataset = load(
        ia2_source="sst2",
        ia2_eval="sst2",
        ia2_seed=1,
        ia2_n=4,
        ia2_protocol="paper",
        ia2_data_dir=str(hub_rows),
    )
    shown = per_query_demonstrations(data, draw_training_set(data, 4, 1), len(data.evaluation))
    assert len(dataset["train"]) == 0
    for row, examples, query in zip(dataset["test"], shown, data.evaluation, strict=True):
        assert row["demonstrations"] + row["prompt"] == with_demonstrations(examples, query.prompt)
        assert row["demonstrations"].count("Text:") == 3
        assert row["protocol"] == "paper"


def test_paper_protocol_without_n_shows_nothing(hub_rows: Path) -> None:
    dataset = load(ia2_source="sst2", ia2_eval="sst2", ia2_protocol="paper", ia2_data_dir=str(hub_rows))
    assert len(dataset["train"]) == 0
    assert set(dataset["test"]["demonstrations"]) == {""}


def test_what_lm_eval_passes_along_is_ignored(hub_rows: Path) -> None:
    foreign = {"seed": 9, "pretrained": "model", "version": 1, "config_source": "x.yaml", "dtype": "float32"}
    alone = load(ia2_source="sst2", ia2_eval="sst2", ia2_data_dir=str(hub_rows))
    along = load(ia2_source="sst2", ia2_eval="sst2", ia2_data_dir=str(hub_rows), **foreign)
    assert along["train"].to_list() == alone["train"].to_list()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ia2_sed": 1}, r"Unknown metadata key 'ia2_sed'. Did you mean 'ia2_seed'\?"),
        ({"ia2_seed": "1"}, "ia2_seed must be a whole number from 0 to .*, found '1'"),
        ({"ia2_seed": -1}, "found -1"),
        ({"ia2_seed": True}, "found True"),
        ({"ia2_n": "4"}, "ia2_n must be a whole number, found '4'"),
        ({"ia2_n": 1}, "N is 1, but a training set needs at least 2"),
        ({"ia2_n": 80}, "sst2 has 90 examples in its pool, but N=80 needs 120"),
        ({"ia2_protocol": "papers"}, r"ia2_protocol is 'papers'. Did you mean 'paper'\?"),
        ({"ia2_source": "poems"}, "No training set is drawn from poems"),
        ({"ia2_data_dir": "/nowhere"}, "/nowhere does not exist"),
    ],
)
def test_wrong_metadata(wrong: dict[str, Any], message: str, hub_rows: Path) -> None:
    metadata = {"ia2_source": "sst2", "ia2_eval": "sst2", "ia2_data_dir": str(hub_rows), **wrong}
    with pytest.raises(UserError, match=message):
        load(**metadata)
