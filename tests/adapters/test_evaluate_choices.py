"""What is evaluated, and what is refused."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest

from ia2_eval.adapters.stored import StoredAdapter, find_adapters
from ia2_eval.errors import UserError
from ia2_eval.experiments.recipe import Recipe
from tests.adapters.small_adapters import MOOD, evaluate, results, samples, settings
from tests.experiments.small_runs import LIMIT, small_recipe, small_run


@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_the_adapters_of_a_run_give_its_records(protocol: str, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"methods": ["sft"], "epochs": 1, "learning_rates": [0.1], "protocol": protocol}
    both = [{"source": "embedded_mood", "n": 4}, {"source": "embedded_arithmetic", "n": 4}]
    recipe: Recipe = small_recipe(**changes, benchmarks=both)
    run = small_run(recipe, tmp_path / "run")
    adapters = find_adapters([], [tmp_path / "run"])
    assert {adapter.name for adapter in adapters} == {record.key for record in run.records}
    asked = settings(tmp_path / "out", limit=LIMIT, protocol=protocol)
    status, said = evaluate(asked, adapters)
    assert status == 0
    assert f"Protocol {protocol}, " in said and ("(ece_published)" in said) == (protocol == "paper")
    written = list(csv.DictReader((tmp_path / "out" / "evaluation.csv").open()))
    for record in run.records:
        (evaluation,) = record.evaluations
        found = results(tmp_path / "out" / record.key)["results"][f"ia2_{evaluation.eval}"]
        shared = {name for name in evaluation.metrics if f"{name},none" in found}
        assert {"acc"} <= shared
        (row,) = (
            each
            for each in written
            if (each["key"], each["task"], each["metric"]) == (record.key, f"ia2_{evaluation.eval}", "acc")
        )
        cell = record.cell
        assert (row["source"], row["method"], row["n"], row["seed"]) == (cell.source, "sft", "4", "0")
        assert float(row["learning_rate"]) == cell.learning_rate == 0.1
        shown = "acc_published" if protocol == "paper" and evaluation.eval == "embedded_mood" else "acc"
        table = said.rpartition(record.key)[2]
        assert table.lstrip().startswith(cell.label)
        value, ece = re.findall(rf"ia2_{evaluation.eval} +{LIMIT} +(\S+) *(\S*)", table)[0]
        assert value == f"{found[f'{shown},none']:.3f}"
        if shown == "acc_published":
            assert ece == f"{found['ece_published,none']:.3f}"
        for name in shared - {"auroc"}:  # lm-eval has NaN where it is undefined
            assert found[f"{name},none"] == pytest.approx(evaluation.metrics[name], abs=1e-5), name


def test_demonstrations(stored: list[StoredAdapter], tmp_path: Path) -> None:
    def prompts(**options: Any) -> list[str]:
        out = tmp_path / "_".join(map(str, options.values()))
        evaluate(settings(out, tasks=(MOOD,), limit=2, **options), stored[:1])
        return [sample["arguments"]["gen_args_0"]["arg_0"] for sample in samples(out / "lora", MOOD)]

    def begins(prompt: str) -> str:
        return prompt.rpartition("\n\n")[0]

    plain, shown, other = prompts(num_fewshot=0), prompts(num_fewshot=3), prompts(num_fewshot=3, seed=1)
    assert all(begins(prompt) == "" for prompt in plain)
    assert begins(shown[0]) == begins(shown[1]) != begins(other[0])
    assert [long.endswith(short) for long, short in zip(shown, plain, strict=True)] == [True, True]
    drawn = prompts(num_fewshot=3, protocol="paper")
    assert begins(drawn[0]) != begins(drawn[1])  # of its own for every query
    assert begins(shown[0]).count("\n\n") == 2 and begins(drawn[0]).count("\n\n") == 1  # N and N - 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": (MOOD,), "num_fewshot": 601}, f"--num-fewshot 601: the task '{MOOD}' has 600 examples"),
        ({"tasks": (MOOD,), "num_fewshot": 601, "protocol": "paper"}, "600 examples in its pool"),
        ({"tasks": ("ia2_embedded_moood",)}, "there is no task 'ia2_embedded_moood'. Did you mean 'ia2_embedded_mood'"),
        ({"tasks": ()}, "--tasks names no task"),
        ({"tasks": (MOOD, "arc_easy"), "protocol": "paper"}, "'arc_easy' is none of them"),
        ({"model": "hf"}, "--model is 'hf'"),
        ({"protocol": "loose"}, "--protocol is 'loose'"),
        ({"dtype": "float8"}, "--dtype is 'float8'"),
        ({"device": "gpu"}, "cannot use the device 'gpu'"),
        ({"base": "./nowhere"}, "there is no model directory './nowhere'"),
        ({"tasks": ("ia2_sst2",), "data_dir": Path("nowhere")}, "nowhere"),
    ],
)
def test_mistakes_are_told_before_anything_is_evaluated(
    changes: dict[str, Any], message: str, stored: list[StoredAdapter], tmp_path: Path
) -> None:
    with pytest.raises(UserError) as raised:
        evaluate(settings(tmp_path / "out", **changes), stored)
    assert message in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_directory_that_cannot_be_written(stored: list[StoredAdapter], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        evaluate(settings(tmp_path / "file", tasks=(MOOD,)), stored)
    with pytest.raises(UserError, match="cannot write to --out"):
        evaluate(settings(tmp_path / "file" / "out", tasks=(MOOD,)), stored)


def test_nothing_to_evaluate(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give --adapter DIR, --adapters-from RUN or --with-base"):
        evaluate(settings(tmp_path), [])
