from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ia2_eval.errors import UserError
from ia2_eval.experiments.recipe import Recipe, load_recipe
from ia2_eval.experiments.store import Store
from ia2_eval.shipped import RECIPES_DIRECTORY

GOOD: dict[str, Any] = {
    "name": "good",
    "base": {"model": "embedded"},
    "benchmarks": [{"source": "sst2", "n": 4}],
    "seeds": [0],
    "methods": ["icl", "sft"],
    "learning_rates": [0.001],
}


def load(directory: Path, content: Any) -> Recipe:
    path = directory / "recipe.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return load_recipe(path)


def faults(directory: Path, **changes: Any) -> list[str]:
    with pytest.raises(UserError) as refused:
        load(directory, GOOD | changes)
    first, *lines = str(refused.value).splitlines()
    assert f"has {len(lines)} fault(s)" in first
    return [line.strip() for line in lines]


def test_all_faults_are_listed_at_once(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        metods=["icl"],
        base={"model": "embedded", "dtyp": "float32"},
        benchmarks=[{"source": "sst2", "n": 4}, {"sorce": "agn", "n": 4}],
        adapter={"type": "lora", "rank": 4, "alpha": 0},
        methods=["icl", "sfd"],
        seeds=[],
        epochs=0,
        learning_rates=[0.001, -0.1],
    )
    assert sorted(line.partition(": ")[0] for line in found) == sorted(
        [
            *("metods", "base.dtyp", "benchmarks.1.source", "benchmarks.1.sorce", "adapter.rank", "adapter.alpha"),
            *("methods.1", "seeds", "epochs", "learning_rates.1"),
        ]
    )
    assert "metods: unknown key. Did you mean 'methods'?" in found
    assert "base.dtyp: unknown key. Did you mean 'dtype'?" in found
    assert "benchmarks.1.sorce: unknown key. Did you mean 'source'?" in found
    assert "benchmarks.1.source: is missing" in found
    assert "adapter.rank: unknown key. Known: type, r, alpha, modules." in found
    assert "learning_rates.1: Input should be greater than 0 (found -0.1)" in found


def test_one_size_or_many(tmp_path: Path) -> None:
    several = load(tmp_path, GOOD | {"benchmarks": [{"source": "sst2", "n": 4}, {"source": "agn", "n": [2, 8]}]})
    assert [source.n for source in several.benchmarks] == [(4,), (2, 8)]


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": [0, 1, 0]},
        {"learning_rates": [0.001, 1.0e-3]},
        {"methods": ["icl", "icl"]},
        {"benchmarks": [{"source": "sst2", "n": [4, 4]}]},
        {"benchmarks": [{"source": "sst2", "n": 4, "evals": ["fins", "fins"]}]},
    ],
)
def test_repeats_are_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, **changes)
    assert "holds a value twice" in fault


@pytest.mark.parametrize("rate", [0.0, -1e-3, float("nan"), float("inf")])
def test_learning_rates_are_positive_numbers(rate: float, tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, learning_rates=[0.1, rate])
    assert fault.startswith("learning_rates.1: ")


@pytest.mark.parametrize("seed", [-1, 2**32, 0.5])
def test_seeds_are_those_of_the_generator(seed: float, tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, seeds=[seed])
    assert fault.startswith("seeds.0: ")


def test_yaml_reads_1e_3_as_text_and_the_recipe_as_a_number(tmp_path: Path) -> None:
    text = yaml.safe_dump(GOOD).replace("- 0.001", "- 1e-3")
    assert yaml.safe_load(text)["learning_rates"] == ["1e-3"]
    assert load(tmp_path, text).learning_rates == (0.001,)


@pytest.mark.parametrize(
    ("content", "said"), [("- a\n- list\n", "found list"), ("", "found NoneType"), ("a: [", "cannot be read as YAML")]
)
def test_a_file_that_holds_no_recipe(content: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        load(tmp_path, content)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no recipe"):
        load_recipe(tmp_path / "none.yaml")


@pytest.mark.parametrize("path", sorted(RECIPES_DIRECTORY.glob("*.yaml")), ids=lambda path: str(path.stem))
def test_shipped_recipes_load_and_can_be_kept_with_a_run(path: Path, tmp_path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    Store(tmp_path).write_recipe(recipe)
    assert load_recipe(tmp_path / "recipe.yaml") == recipe


def test_the_recipes_of_the_issue_are_shipped() -> None:
    shipped = {path.stem for path in RECIPES_DIRECTORY.glob("*.yaml")}
    assert {"demo", "paper_single_token_qwen3_4b", "paper_multi_token_qwen3_4b"} <= shipped


def test_a_model_alone_is_a_base(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD | {"base": "embedded"}) == load(tmp_path, GOOD)


def test_an_unknown_method_names_the_nearest(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, methods=["icl", "ia2_stf"])
    assert "no such method" in fault and "Did you mean 'ia2_sft'?" in fault
