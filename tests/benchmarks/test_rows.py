"""Where rows come from, and what is said when they are missing or broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ia2_eval.benchmarks import BENCHMARKS, load_benchmark
from ia2_eval.benchmarks.benchmark import HubSource
from ia2_eval.errors import UserError
from tests.benchmarks.hub_rows import DATA_SETS, financial, sst2, write_rows


def test_a_local_split_that_is_absent_is_replaced_and_noted(tmp_path: Path) -> None:
    write_rows(tmp_path / "sst2/train.jsonl", [sst2(i) for i in range(10)])
    write_rows(tmp_path / "sst2/test.jsonl", [sst2(i) for i in range(10, 15)])
    write_rows(tmp_path / "gsm8k/train.jsonl", [DATA_SETS["gsm8k"][0](0)])
    write_rows(tmp_path / "gsm8k/validation.jsonl", [DATA_SETS["gsm8k"][0](1)])
    assert "test.jsonl stands for the hub's split 'validation'" in load_benchmark("sst2", tmp_path).notes[0]
    assert "validation.jsonl stands for the hub's split 'test'" in load_benchmark("gsm8k", tmp_path).notes[0]


def test_all_files_stand_for_an_only_split(tmp_path: Path) -> None:
    parts = {"test": range(700, 900), "train": range(600), "validation": range(600, 700)}
    for split, numbers in parts.items():
        write_rows(tmp_path / f"parts/financial_phrasebank/{split}.jsonl", [financial(i) for i in numbers])
    write_rows(tmp_path / "whole/financial_phrasebank/train.jsonl", [financial(i) for i in range(900)])
    in_parts, whole = load_benchmark("fins", tmp_path / "parts"), load_benchmark("fins", tmp_path / "whole")
    assert in_parts.fingerprint == whole.fingerprint
    assert in_parts.notes[0].startswith("train.jsonl + validation.jsonl + test.jsonl stands for the hub's only split")


def test_the_environment_names_the_directory(hub_rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IA2_DATA_DIR", str(hub_rows))
    assert load_benchmark("sst2").fingerprint == load_benchmark("sst2", hub_rows).fingerprint


def test_embedded_rows_need_no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IA2_DATA_DIR", "/nowhere")
    data = load_benchmark("embedded_arithmetic")
    assert data.pool and data.evaluation and data.notes == ()
    assert data.fingerprint == load_benchmark("embedded_arithmetic").fingerprint


def test_the_fingerprint_sees_every_letter_and_the_border_of_prompt_and_answer(tmp_path: Path) -> None:
    def fingerprint(name: str, question: str, answer: str) -> str:
        for split in ("train", "test"):
            write_rows(tmp_path / name / f"gsm8k/{split}.jsonl", [{"question": question, "answer": answer}])
        return load_benchmark("gsm8k", tmp_path / name).fingerprint

    fingerprints = {
        fingerprint("a", "x", "1"),
        fingerprint("b", "x", "2"),
        fingerprint("c", "y", "1"),
        fingerprint("d", "x\nAnswer:", "1"),
        fingerprint("e", "x", "\nAnswer:1"),
    }
    assert len(fingerprints) == 5
    assert fingerprint("f", "x", "1") in fingerprints


def test_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere does not exist. Give one with --data-dir or IA2_DATA_DIR"):
        load_benchmark("sst2", tmp_path / "nowhere")


def test_missing_folder_names_what_is_there(hub_rows: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "sciq/train.jsonl", [])
    with pytest.raises(UserError, match=r"has no folder 'sst2' \(found: sciq\)"):
        load_benchmark("sst2", tmp_path)


def test_missing_files(tmp_path: Path) -> None:
    write_rows(tmp_path / "sst2/validation.jsonl", [sst2(0)])
    with pytest.raises(UserError, match=r"sst2 has no train.jsonl \(found: validation.jsonl\)"):
        load_benchmark("sst2", tmp_path)
    (tmp_path / "strategyqa").mkdir()
    with pytest.raises(UserError, match=r"none of train.jsonl, validation.jsonl, test.jsonl \(found: nothing\)"):
        load_benchmark("stf", tmp_path)


BROKEN = [
    ("sst2", '{"sentence": "a", "label": 0', r"line 3: not JSON"),
    ("sst2", "", r"line 3: not JSON"),
    ("sst2", "[1]", r"line 3: expected an object with the columns sentence, label, found \[1\]"),
    ("sst2", '{"text": "a", "label": 0}', r"line 3: column 'sentence' is missing \(found: text, label\)"),
    ("sst2", '{"sentence": "a", "label": -1}', r"line 3: column 'label' must be one of 0, 1, found -1"),
    ("sst2", '{"sentence": "a", "label": true}', r"line 3: column 'label' must be one of 0, 1, found True"),
    ("sst2", '{"sentence": "a", "label": "1"}', r"line 3: column 'label' must be one of 0, 1, found '1'"),
    ("sst2", '{"sentence": null, "label": 1}', r"line 3: column 'sentence' must be text, found None"),
    ("stf", '{"question": "a", "answer": 1}', r"line 3: column 'answer' must be one of False, True, found 1"),
    ("qascr", '{"question": "a", "choices": {"text": ["a"], "label": ["A"]}, "answerKey": "A"}', "column 'choices'"),
    ("qascr", '{"question": "a", "choices": ["a"], "answerKey": "A"}', "column 'choices'"),
]


@pytest.mark.parametrize(("name", "line", "message"), BROKEN)
def test_a_broken_line_is_named(name: str, line: str, message: str, tmp_path: Path) -> None:
    source = BENCHMARKS[name].source
    assert isinstance(source, HubSource)
    row, _ = DATA_SETS[source.folder]
    path = tmp_path / source.folder / "validation.jsonl"
    write_rows(path, [row(0), row(1)])
    path.write_text(path.read_text() + line + "\n" + json.dumps(row(2)) + "\n")
    write_rows(path.with_name("train.jsonl"), [row(3)])
    with pytest.raises(UserError, match=rf"validation.jsonl, {message}" if "line" in message else message):
        load_benchmark(name, tmp_path)


def test_broken_utf8_is_named(tmp_path: Path) -> None:
    write_rows(tmp_path / "sst2/validation.jsonl", [sst2(0)])
    (tmp_path / "sst2/train.jsonl").write_bytes(b'{"sentence": "caf\xe9", "label": 0}\n')
    with pytest.raises(UserError, match=r"train.jsonl, line 1: not JSON \(.*utf-8"):
        load_benchmark("sst2", tmp_path)


def test_a_line_separator_inside_a_text_ends_no_line(tmp_path: Path) -> None:
    path = tmp_path / "sst2/train.jsonl"
    write_rows(tmp_path / "sst2/validation.jsonl", [sst2(0)])
    path.write_text('{"sentence": "a\u2028b\x85c", "label": 0}\r\n{"sentence": "d", "label": 1}', encoding="utf-8")
    assert {example.prompt for example in load_benchmark("sst2", tmp_path).pool} == {
        "Text:a\u2028b\x85c\nLabel:",
        "Text:d\nLabel:",
    }


def test_nothing_left_to_evaluate_on(tmp_path: Path) -> None:
    write_rows(tmp_path / "poem_sentiment/train.jsonl", [{"verse_text": "a", "label": 2}])
    with pytest.raises(UserError, match=r"poems has no rows to evaluate on. kept 0 of 1 rows"):
        load_benchmark("poems", tmp_path)


def test_unknown_benchmark() -> None:
    with pytest.raises(UserError, match=r"There is no benchmark 'gsm8'. Did you mean 'gsm8k'\?"):
        load_benchmark("gsm8")


class FakeHub:
    """Stands for `datasets.load_dataset`; answers from the invented rows and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def __call__(self, path: str, config: str | None, **kwargs: Any) -> Any:
        from datasets import Dataset

        self.asked.append({"path": path, "config": config, **kwargs})
        folder = next(
            b.source.folder for b in BENCHMARKS.values() if isinstance(b.source, HubSource) and b.source.path == path
        )
        row, splits = DATA_SETS[folder]
        return Dataset.from_list([row(i) for i in range(splits[kwargs["split"]])])


@pytest.mark.parametrize("name", [name for name in BENCHMARKS if not name.startswith("embedded_")])
def test_hub_rows_give_the_same_examples(
    name: str, hub_rows: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("IA2_DATA_DIR", raising=False)
    hub = FakeHub()
    monkeypatch.setattr("datasets.load_dataset", hub)
    data = load_benchmark(name)
    benchmark = BENCHMARKS[name]
    assert isinstance(benchmark.source, HubSource)
    assert [asked["split"] for asked in hub.asked] == list(benchmark.selection.splits)
    for asked in hub.asked:
        assert asked["config"] == benchmark.source.config
        assert asked["data_dir"] == benchmark.source.data_dir
        assert asked["revision"] == benchmark.source.revision
    assert len(data.evaluation) == len(load_benchmark(name, hub_rows).evaluation)
    assert not any("jsonl" in note for note in data.notes)


def test_hub_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("Couldn't reach the Hub")

    monkeypatch.delenv("IA2_DATA_DIR", raising=False)
    monkeypatch.setattr("datasets.load_dataset", unreachable)
    with pytest.raises(UserError, match=r"(?s)allenai/sciq.*for sciq: Couldn't reach.*--data-dir DIR or IA2_DATA_DIR"):
        load_benchmark("sciq")


def test_hub_with_other_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets import Dataset

    monkeypatch.delenv("IA2_DATA_DIR", raising=False)
    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: Dataset.from_list([{"text": "a", "label": 0}]))
    with pytest.raises(UserError, match=r"stanfordnlp/sst2 .* split 'train', row 0: column 'sentence' is missing"):
        load_benchmark("sst2")
