from __future__ import annotations

import csv
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import lm_eval
import pytest
import yaml
from ia2_training.adapters import LoraAdapter
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from ia2_eval.adapters import evaluate as module
from ia2_eval.adapters import hf_adapters
from ia2_eval.adapters.results import find_results
from ia2_eval.adapters.stored import StoredAdapter, find_adapters
from ia2_eval.embedded import MODEL_DIRECTORY
from ia2_eval.errors import UserError
from ia2_eval.lm import ia2_hf
from ia2_eval.lm.base_model import load
from ia2_eval.shipped import TASKS_DIRECTORY
from tests.adapters.small_adapters import ARITHMETIC, MOOD, evaluate, results, samples, settings, store


def test_each_adapter_gives_what_lm_eval_gives_for_it(
    stored: list[StoredAdapter], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[object] = []
    monkeypatch.setattr(hf_adapters, "load", lambda *arguments: loads.append(arguments) or load(*arguments))
    status, said = evaluate(settings(tmp_path), stored, with_base=True)
    assert status == 0
    assert len(loads) == 1
    manager = TaskManager(include_path=str(TASKS_DIRECTORY), include_defaults=False, metadata={})
    loaded = manager.load([MOOD, ARITHMETIC])
    monkeypatch.setattr(TaskManager, "load", lambda self, names: loaded)
    for adapter in [None, *stored]:
        name = adapter.name if adapter else "base"
        lm = HFLM(
            pretrained=str(MODEL_DIRECTORY),
            dtype="float32",
            softmax_dtype="float32",
            device="cpu",
            batch_size=1,  # PEFT's batches are inexact behind virtual tokens
            peft=str(adapter.directory) if adapter else None,
        )
        expected = lm_eval.simple_evaluate(lm, tasks=[MOOD], task_manager=manager, limit=8)
        found = results(tmp_path / name)
        for metric in ("acc,none", "ece,none", "acc_stderr,none"):
            assert found["results"][MOOD][metric] == pytest.approx(expected["results"][MOOD][metric], abs=1e-5)
        assert found["results"][ARITHMETIC]["acc,none"] == expected["results"][ARITHMETIC]["acc,none"]
        for mine, theirs in zip(samples(tmp_path / name, ARITHMETIC), expected["samples"][ARITHMETIC], strict=True):
            assert theirs["resps"][0][0].startswith(mine["resps"][0][0])
            assert mine["prompt_hash"] == theirs["prompt_hash"]
        assert found["n-samples"] == json.loads(json.dumps(expected["n-samples"]))
        assert set(expected) - {"samples"} <= set(found)
        row = next(line for line in said.splitlines() if f" {name} " in line and "│" not in line and MOOD not in line)
        assert f"{found['results'][ARITHMETIC]['acc,none']:.3f}" in row


def test_what_is_there_is_not_evaluated_again(
    stored: list[StoredAdapter], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, lora = settings(tmp_path, tasks=(MOOD,)), stored[:1]
    assert evaluate(asked, lora)[0] == 0

    def loads(*_: object) -> object:
        raise UserError("the base is loaded")

    monkeypatch.setattr(module, "_load", loads)
    status, said = evaluate(asked, lora)
    assert status == 0
    assert "1 of 1 have results" in said and "[1/" not in said and "lora" in said
    others: list[dict[str, Any]] = [{"limit": 4}, {"num_fewshot": 1}, {"seed": 1}, {"protocol": "paper"}]
    others += [{"tasks": (ARITHMETIC,)}, {"dtype": "bfloat16"}]
    for changes in others:
        with pytest.raises(UserError, match="the base is loaded"):
            evaluate(settings(tmp_path, **({"tasks": (MOOD,)} | changes)), lora)
    with pytest.raises(UserError, match="the base is loaded"):
        evaluate(asked, [StoredAdapter("lora", stored[1].directory)])
    assert evaluate(settings(tmp_path, tasks=(MOOD,), batch_size=2, use_cache=tmp_path / "answers"), lora)[0] == 0


def test_the_examples_decide_and_not_where_they_are(
    stored: list[StoredAdapter], hub_rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    shutil.copytree(hub_rows / "sst2", here / "sst2")
    shutil.copytree(hub_rows / "sst2", there / "sst2")
    monkeypatch.chdir(tmp_path)

    def evaluated(task: str, data_dir: Path | None) -> bool:
        asked = settings(tmp_path / "out", tasks=(task,), data_dir=data_dir, limit=2)
        status, said = evaluate(asked, stored[:1])
        assert status == 0
        return "[1/1]" in said

    assert [evaluated(task, here) for task in ("ia2_sst2", MOOD)] == [True, True]
    assert [evaluated("ia2_sst2", path) for path in (here, Path("here"), there)] == [False, False, False]
    monkeypatch.setenv("IA2_DATA_DIR", str(there))
    assert not evaluated("ia2_sst2", None)
    for split in ("train", "validation"):  # demonstrations come from the one, queries from the other
        file = there / "sst2" / f"{split}.jsonl"
        file.write_text(file.read_text().replace("review", "opinion"))
        assert evaluated("ia2_sst2", None)
    assert not evaluated(MOOD, None)  # reads no files
    found = results(tmp_path / "out" / "lora", newest=True)["ia2_eval"]["identity"]
    assert str(there) not in json.dumps(found)


def test_whether_a_base_shares_prefixes_is_tried_once(
    stored: list[StoredAdapter], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[object] = []
    trial = ia2_hf.can_share_prefix
    monkeypatch.setattr(ia2_hf, "can_share_prefix", lambda model: tried.append(model) or trial(model))
    asked = settings(tmp_path, tasks=(MOOD,), num_fewshot=8)
    evaluate(asked, [stored[3], *stored[:3]], with_base=True)
    assert len(tried) == 1
    monkeypatch.setattr(ia2_hf, "can_share_prefix", lambda model: bool(tried.append(model)))
    evaluate(settings(tmp_path / "no", tasks=(MOOD,), num_fewshot=8), stored[:2])
    assert len(tried) == 3  # the adapter may have been why


def test_a_task_of_lm_eval_s(stored: list[StoredAdapter], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own tasks take seconds to list and need data: one of the same kind stands for them."""
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"q": f"{n} plus 1 is", "a": " 3"}) + "\n" for n in "123"))
    task = {
        "task": "sums",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(tmp_path / "rows.jsonl")}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{q}}",
        "doc_to_target": "{{a}}",
        "generation_kwargs": {"until": ["."], "max_gen_toks": 4},
        "metric_list": [{"metric": "exact_match"}],
    }
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "sums.yaml").write_text(yaml.safe_dump(task))

    class Small(TaskManager):  # type: ignore[misc]
        def __init__(self, include_path: str, include_defaults: bool = True, **others: Any) -> None:
            theirs = [str(tmp_path / "theirs")] if include_defaults else []
            super().__init__(include_path=[include_path, *theirs], include_defaults=False, **others)

    monkeypatch.setattr("lm_eval.tasks.TaskManager", Small)
    status, said = evaluate(settings(tmp_path / "out", tasks=(MOOD, "sums")), stored[:1])
    assert status == 0
    exact = results(tmp_path / "out" / "lora")["results"]["sums"]["exact_match,none"]
    assert f"sums exact_match {exact:.3f} (n = 3)" in said
    with pytest.raises(UserError, match=r"there is no task 'sum'\. Did you mean 'sums'"):
        evaluate(settings(tmp_path / "out", tasks=(MOOD, "sum")), stored[:1])


def test_only_further_tasks_are_evaluated(stored: list[StoredAdapter], tmp_path: Path) -> None:
    evaluate(settings(tmp_path, tasks=(MOOD,)), stored[:1])
    status, said = evaluate(settings(tmp_path), stored[:1])
    assert status == 0
    assert set(results(tmp_path / "lora", newest=True)["results"]) == {ARITHMETIC}
    (line,) = (line for line in said.splitlines() if line.startswith("[1/1]"))
    assert ARITHMETIC in line and MOOD not in line
    table = said.partition("[1/1]")[2].partition("\n")[2]
    assert MOOD in table and ARITHMETIC in table
    assert "1 of 1 have results" in evaluate(settings(tmp_path), stored[:1])[1]
    written = list(csv.DictReader((tmp_path / "evaluation.csv").open()))
    assert {row["task"] for row in written} == {MOOD, ARITHMETIC}
    (accuracy,) = (row for row in written if (row["task"], row["metric"]) == (ARITHMETIC, "acc"))
    assert float(accuracy["value"]) == results(tmp_path / "lora", newest=True)["results"][ARITHMETIC]["acc,none"]
    assert (accuracy["adapter"], accuracy["base"], accuracy["n_examples"]) == ("lora", "embedded", "8")


def test_groups_are_evaluated_whole(tmp_path: Path) -> None:
    """Their own numbers need all of their tasks."""

    def write(number: int, names: tuple[str, ...]) -> None:
        content = {
            "results": {name: {"acc,none": float(number)} for name in names},
            "configs": {name: {} for name in names if name != "both"},
            "n-samples": {},
            "ia2_eval": {"identity": identity(*(set(names) - {"both"})), "ece_n": {}},
        }
        (tmp_path / f"results_{number}.json").write_text(json.dumps(content))
        for name in names:
            (tmp_path / f"samples_{name}_{number}.jsonl").write_text("")

    def identity(*names: str) -> dict[str, Any]:
        return {"seed": 0, "tasks": {name: {"version": "1"} for name in names}}

    asked = tmp_path, identity("one", "two", "three"), {"both": {"one", "two"}}
    write(1, ("one",))
    write(2, ("two", "three"))
    assert find_results(*asked)[1] == {"one", "two"}
    write(3, ("both", "one", "two"))
    found, missing = find_results(*asked)
    assert not missing
    assert {name: value["acc,none"] for name, value in found["results"].items()} == {
        "both": 3,
        "one": 3,
        "two": 3,
        "three": 2,
    }


@pytest.mark.parametrize("damage", ["results", "samples"])
def test_half_of_the_results_are_none(damage: str, stored: list[StoredAdapter], tmp_path: Path) -> None:
    asked = settings(tmp_path, tasks=(MOOD,))
    evaluate(asked, stored[:1])
    (path,) = (tmp_path / "lora").glob(f"{damage}_*")
    if damage == "results":
        path.write_text(path.read_text()[:100])
    else:
        path.unlink()
    assert "[1/1] lora: " in evaluate(asked, stored[:1])[1]
    assert "1 of 1 have results" in evaluate(asked, stored[:1])[1]


def test_a_failing_adapter_is_listed_and_the_others_go_on(stored: list[StoredAdapter], tmp_path: Path) -> None:
    broken = StoredAdapter("broken", store(LoraAdapter(r=4), tmp_path / "broken"))
    configuration = json.loads((broken.directory / "adapter_config.json").read_bytes())
    (broken.directory / "adapter_config.json").write_text(json.dumps(configuration | {"r": 2}))
    out = tmp_path / "out"
    status, said = evaluate(settings(out, tasks=(MOOD,)), [stored[0], broken, stored[1]])
    assert status == 1
    assert "[2/3] broken: failed: UserError: " in said and "does not fit this base model" in said
    assert "[3/3] ia3: " in said and "1 of 3 failed: broken" in said
    assert "Traceback" in (out / "broken" / "failure.txt").read_text()
    assert not list((out / "broken").glob("results_*"))
    assert "adapter   task" in said and "adapter   task" not in evaluate(settings(out, tasks=(MOOD,)), [broken])[1]
    alone = tmp_path / "alone"
    evaluate(settings(alone, tasks=(MOOD,)), [stored[1]])
    assert samples(alone / "ia3", MOOD) == samples(out / "ia3", MOOD)  # the failure left nothing in the base
    (broken.directory / "adapter_config.json").write_text(json.dumps(configuration))
    mended = StoredAdapter("broken", broken.directory)
    assert evaluate(settings(out, tasks=(MOOD,)), [stored[0], mended])[0] == 0
    assert not (out / "broken" / "failure.txt").exists()


def test_an_adapter_without_effect(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (new,) = find_adapters([str(store(LoraAdapter(), tmp_path / "new", scale=0))])
    with caplog.at_level(logging.WARNING):
        assert evaluate(settings(tmp_path / "out", tasks=(MOOD,)), [new])[0] == 0
    assert "changes nothing: its weights are those that it started with" in caplog.text


def test_an_interruption_leaves_what_is_done(
    stored: list[StoredAdapter], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated = module._Session.evaluate

    def interrupted(self: Any, subject: StoredAdapter, adapted: Any) -> dict[str, Any]:
        if subject.name == "ia3":
            raise KeyboardInterrupt
        return evaluated(self, subject, adapted)

    monkeypatch.setattr(module._Session, "evaluate", interrupted)
    status, said = evaluate(settings(tmp_path, tasks=(MOOD,)), stored)
    assert status == 130
    assert "interrupted: 1 of 4 are evaluated; the same command continues" in said
    monkeypatch.undo()
    status, said = evaluate(settings(tmp_path, tasks=(MOOD,)), stored[:2])
    assert status == 0
    assert "1 of 2 have results" in said and "[1/1] ia3: " in said


def test_adapters_share_a_request_cache(stored: list[StoredAdapter], tmp_path: Path) -> None:
    cache, two = tmp_path / "answers", stored[:2]
    for out, options in (("plain", {}), ("filled", {"use_cache": cache}), ("served", {"use_cache": cache})):
        assert evaluate(settings(tmp_path / out, **options), two)[0] == 0
    for name in ("lora", "ia3"):
        for task in (MOOD, ARITHMETIC):
            expected = samples(tmp_path / "plain" / name, task)
            assert samples(tmp_path / "filled" / name, task) == expected
            assert samples(tmp_path / "served" / name, task) == expected
    assert samples(tmp_path / "served" / "lora", MOOD) != samples(tmp_path / "served" / "ia3", MOOD)
