"""The rows of the synthetic benchmarks."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from ia2_eval.benchmarks import BENCHMARKS, load_benchmark
from ia2_eval.embedded.datasets import DATASETS, EmbeddedDataset
from ia2_eval.embedded.world import AXES, WORDS
from ia2_eval.shipped import TASKS_DIRECTORY

CLASSIFICATION = [dataset for dataset in DATASETS.values() if dataset.axis]
CLASS_OF = {word: name for classes in WORDS.values() for name, class_words in classes.items() for word in class_words}
SLOT_OF = {word: slot for slot, classes in WORDS.items() for class_words in classes.values() for word in class_words}


def right_label(dataset: EmbeddedDataset, text: str) -> int:
    axis = AXES[dataset.axis or ""]
    (word,) = [word for word in text.split() if SLOT_OF[word] == axis.slot]
    return dataset.values.index(axis.value_of(CLASS_OF[word]))


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda dataset: dataset.name)
def test_rows(dataset: EmbeddedDataset) -> None:
    train, test = dataset.rows("train"), dataset.rows("test")
    assert (len(train), len(test)) == (600, 200)
    assert dataset.rows("train") == train and dataset.rows("test") == test
    columns = ["text", "label"] if dataset.axis else ["question", "answer"]
    assert all(list(row) == columns for row in train + test)
    assert len({row[columns[0]] for row in train + test}) == 800  # disjoint, and no row twice


@pytest.mark.parametrize("dataset", CLASSIFICATION, ids=lambda dataset: dataset.name)
def test_labels_are_right_but_for_the_noise_of_the_training_split(dataset: EmbeddedDataset) -> None:
    train, test = dataset.rows("train"), dataset.rows("test")
    assert all(row["label"] == right_label(dataset, row["text"]) for row in test)
    wrong = [row["label"] != right_label(dataset, row["text"]) for row in train]
    assert dataset.noise == (0.2 if dataset.name.endswith("_noisy") else 0.0)
    assert np.mean(wrong) == pytest.approx(dataset.noise, abs=0.05 if dataset.noise else 0)


@pytest.mark.parametrize("dataset", CLASSIFICATION, ids=lambda dataset: dataset.name)
@pytest.mark.parametrize("split", ["train", "test"])
def test_labels_are_balanced(dataset: EmbeddedDataset, split: str) -> None:
    labels = [row["label"] for row in dataset.rows(split)]
    shares = np.bincount(labels, minlength=len(dataset.values)) / len(labels)
    assert shares == pytest.approx(1 / len(dataset.values), abs=0.08)


def test_arithmetic_is_right_and_in_the_held_out_format() -> None:
    dataset = DATASETS["arithmetic"]
    for row in dataset.rows("train") + dataset.rows("test"):
        first, happened, second = re.fullmatch(
            r"\w+ had (\d) \w+ then (gained|lost) (\d) more", row["question"]
        ).groups()
        a, b = int(first), int(second)
        sign, result = ("+", a + b) if happened == "gained" else ("-", a - b)
        assert row["answer"] == f" {a} {sign} {b} = {result} #### {result}"


def test_a_noisy_set_is_its_own_draw() -> None:
    """Its test split differs from the clean one's, so that the two are two measurements."""
    for name in ("mood", "place"):
        clean, noisy = ({row["text"] for row in DATASETS[n].rows("test")} for n in (name, f"{name}_noisy"))
        assert clean != noisy


def test_registry_and_tasks_hold_each_data_set() -> None:
    assert [name for name in BENCHMARKS if name.startswith("embedded_")] == [f"embedded_{name}" for name in DATASETS]
    assert all(name == dataset.name for name, dataset in DATASETS.items())
    files = sorted(Path(TASKS_DIRECTORY).glob("ia2_embedded_*.yaml"))
    assert [path.stem for path in files] == sorted(f"ia2_embedded_{name}" for name in DATASETS)
    for path in files:
        task = yaml.safe_load(path.read_text())
        assert task["task"] == path.stem
        assert task["metadata"]["ia2_source"] == task["metadata"]["ia2_eval"] == path.stem.removeprefix("ia2_")
        assert task["include"] == (
            "_multi_token.yaml" if path.stem == "ia2_embedded_arithmetic" else "_single_token.yaml"
        )


@pytest.mark.parametrize("name", DATASETS)
def test_benchmarks_show_the_rows(name: str) -> None:
    data, dataset = load_benchmark(f"embedded_{name}"), DATASETS[name]
    assert data.benchmark.labels == dataset.labels
    if dataset.axis:
        shown = [(f"Text: {row['text']}\nLabel:", str(row["label"])) for row in dataset.rows("test")]
    else:
        shown = [(f"Q: {row['question']}\nA:", row["answer"]) for row in dataset.rows("test")]
    assert sorted(shown) == sorted((example.prompt, example.answer) for example in data.evaluation)
    assert {example.prompt for example in data.pool}.isdisjoint(example.prompt for example in data.evaluation)
