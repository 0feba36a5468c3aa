from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from ia2_eval.errors import UserError
from ia2_eval.experiments.adapter_specs import ADAPTER_TYPES, Ia3, Lora, Prefix
from ia2_eval.experiments.agreement import Agreement
from ia2_eval.experiments.method_entry import MethodEntry
from ia2_eval.experiments.method_options import AlignmentSpec, LowData
from ia2_eval.experiments.recipe import Recipe, Source, load_recipe
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


def test_one_size_or_many(tmp_path: Path) -> None:
    several = load(tmp_path, GOOD | {"benchmarks": [{"source": "sst2", "n": 4}, {"source": "agn", "n": [2, 8]}]})
    assert [source.n for source in several.benchmarks] == [(4,), (2, 8)]


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
    paper = {"paper_single_token_qwen3_4b", "paper_multi_token_qwen3_4b", "paper_ia3_llama_1b"}
    assert {"demo", "embedded_methods", "embedded_alignment", "embedded_low_data"} | paper <= shipped


def test_a_model_alone_is_a_base(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD | {"base": "embedded"}) == load(tmp_path, GOOD)


def test_methods_with_options(tmp_path: Path) -> None:
    entries = [
        "icl",
        {"method": "sft"},
        {"method": "sft", "labels": "icl_outputs"},
        {"method": "ia2+sft", "sft_weight": [0.1, 0.5]},
        {"method": "soft_sft", "top_k": 20},
        {"method": "ia2", "alignment": {"output": "residual", "layers": {"first": 1, "last": 3}, "distance": "cosine"}},
        {"method": "ia2", "alignment": {"layers": [0, -1]}},
        {"method": "ia2", "low_data": {"unlabelled": 8, "orders": 2}},
        {"method": "ia2", "demonstration_orders": 3},
    ]
    recipe = load(tmp_path, GOOD | {"methods": entries})
    assert [{k: v for k, v in dict(variant).items() if v is not None} for variant in recipe.variants] == [
        {"method": "icl"},
        {"method": "sft"},
        {"method": "sft", "labels": "icl_outputs"},
        {"method": "ia2+sft", "sft_weight": 0.1},
        {"method": "ia2+sft", "sft_weight": 0.5},
        {"method": "soft_sft", "top_k": 20},
        {"method": "ia2", "alignment": AlignmentSpec(output="residual", layers=(1, 2, 3), distance="cosine")},
        {"method": "ia2", "alignment": AlignmentSpec(layers=(0, -1))},
        {"method": "ia2", "low_data": LowData(unlabelled=8, orders=2)},
        {"method": "ia2", "demonstration_orders": 3},
    ]
    Store(tmp_path / "kept").write_recipe(recipe)
    assert load_recipe(tmp_path / "kept" / "recipe.yaml") == recipe


@pytest.mark.parametrize(
    ("entry", "normal"),
    [
        ({"method": "sft", "labels": "ground_truth"}, {"method": "sft"}),
        ({"method": "soft_sft", "labels": "icl_outputs"}, {"method": "soft_sft"}),
        ({"method": "ia2+sft", "labels": "icl_outputs"}, {"method": "ia2+sft", "sft_weight": 0.5}),
        ("ia2+sft", {"method": "ia2+sft", "sft_weight": 0.5}),
        ({"method": "ia2", "alignment": {"layers": "all"}, "demonstration_orders": 1}, {"method": "ia2"}),
    ],
)
def test_defaults_are_left_out_however_they_are_written(entry: Any, normal: dict[str, Any], tmp_path: Path) -> None:
    (variant,) = load(tmp_path, GOOD | {"methods": [entry]}).variants
    assert variant.model_dump(exclude_none=True) == normal


def test_adapters_with_learning_rates_of_their_own(tmp_path: Path) -> None:
    kinds = [
        {"type": "lora", "r": 4, "learning_rates": [0.001, 0.01]},
        {"type": "ia3", "learning_rates": [0.1]},
        {"virtual_tokens": 5, "type": "prefix", "learning_rates": [0.5]},
    ]
    recipe = load(tmp_path, GOOD | {"adapters": kinds, "learning_rates": []})
    assert recipe.grid == ((Lora(r=4), 0.001), (Lora(r=4), 0.01), (Ia3(), 0.1), (Prefix(virtual_tokens=5), 0.5))
    Store(tmp_path / "kept").write_recipe(recipe)
    assert load_recipe(tmp_path / "kept" / "recipe.yaml") == recipe
    assert load(tmp_path, GOOD | {"adapter": {"r": 4}}).grid == ((Lora(r=4), 0.001),)
    assert load(tmp_path, GOOD).grid == ((Lora(), 0.001),)


def test_an_adapter_by_its_name_alone(tmp_path: Path) -> None:
    for kind, model in ADAPTER_TYPES.items():
        assert load(tmp_path, GOOD | {"adapter": kind}).adapter == model()


def test_options_of_evaluations(tmp_path: Path) -> None:
    plain, asked = load(tmp_path, GOOD), {"temperature_scaling": True, "agreement": {"samples": 8}}
    assert (plain.temperature_scaling, plain.agreement) == (False, None)
    recipe = load(tmp_path, GOOD | asked)
    assert (recipe.temperature_scaling, recipe.agreement) == (True, Agreement(samples=8, temperature=0.7))
    Store(tmp_path / "kept").write_recipe(recipe)
    assert load_recipe(tmp_path / "kept" / "recipe.yaml") == recipe


def test_every_key_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
    models: list[type[BaseModel]] = [Recipe, Source, MethodEntry, AlignmentSpec, LowData, Agreement]
    models += ADAPTER_TYPES.values()
    keys = {key for model in models for key in model.model_fields} - {"method"}
    assert not [key for key in sorted(keys) if not re.search(rf"`[^`]*\b{key}\b[^`]*`", page)]
    for kind in ADAPTER_TYPES:
        assert f"`{kind}`" in page
    shipped = {path.stem for path in RECIPES_DIRECTORY.glob("*.yaml")}
    prefixes = "demo|quickstart|regression|embedded|paper"
    named = re.findall(rf"`((?:{prefixes})[a-z0-9_*]*)`", page.partition("## Shipped recipes")[2])
    assert not [name for name in shipped if not any(fnmatch(name, pattern) for pattern in named)]
    assert not [pattern for pattern in named if not any(fnmatch(name, pattern) for name in shipped)]
