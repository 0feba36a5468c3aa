from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from ia2_eval.errors import UserError
from ia2_eval.experiments.adapter_specs import ADAPTER_TYPES, Ia3, Lora, Prefix
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
    paper = {"paper_single_token_qwen3_4b", "paper_multi_token_qwen3_4b", "paper_ia3_llama_1b"}
    assert {"demo", "embedded_methods", "embedded_alignment", "embedded_low_data"} | paper <= shipped


def test_a_model_alone_is_a_base(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD | {"base": "embedded"}) == load(tmp_path, GOOD)


def test_an_unknown_method_names_the_nearest(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, methods=["icl", "ia2_stf"])
    assert "no such method" in fault and "Did you mean 'ia2_sft'?" in fault


def test_methods_with_options(tmp_path: Path) -> None:
    entries = [
        "icl",
        {"method": "sft"},
        {"method": "sft", "labels": "icl_outputs"},
        {"method": "ia2+sft", "sft_weight": [0.1, 0.5]},
        {"method": "soft_sft", "top_k": 20},
        {"method": "ia2", "alignment": {"output": "residual", "layers": {"first": 1, "last": 3}, "distance": "cosine"}},
        {"method": "ia2", "alignment": {"layers": [0, -1]}},
        {"method": "ia2", "low_data": {"unlabelled": 8, "orders": 2}, "demonstration_orders": 3},
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
        {"method": "ia2", "low_data": LowData(unlabelled=8, orders=2), "demonstration_orders": 3},
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


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"method": "ia2", "labels": "icl_outputs"}, "alignment has no labels"),
        ({"method": "ia2+sft", "labels": "ground_truth"}, "both losses share one forward pass"),
        ({"method": "soft_sft", "labels": "ground_truth"}, "soft labels are the teacher's distributions"),
        ({"method": "sft", "sft_weight": 0.5}, "only ia2+sft weighs two losses"),
        ({"method": "ia2+sft", "sft_weight": [0.5, 1.5]}, "must be from 0 to 1"),
        ({"method": "ia2+sft", "sft_weight": []}, "sft_weight is empty"),
        ({"method": "ia2", "top_k": 3}, "only soft_sft learns from distributions"),
        ({"method": "sft", "alignment": {"output": "mlp"}}, "this method aligns nothing"),
        ({"method": "sft", "low_data": {"unlabelled": 8}}, "low_data: nothing is learned from the teacher"),
        ({"method": "sft", "demonstration_orders": 2}, "demonstration_orders: nothing is learned from the teacher"),
        ({"method": "icl", "labels": "icl_outputs", "top_k": 3}, "icl trains nothing: leave out labels, top_k"),
        ({"method": "ia2", "alignment": {"layers": [1, 1]}}, "none twice"),
        ({"method": "ia2", "alignment": {"layers": {"first": 1}}}, "{first: 0, last: 3}"),
        ({"method": "ia2", "alignment": {"layers": {"first": 1, "last": -1}}}, "both must count from the start"),
    ],
)
def test_senseless_options_are_refused_with_the_reason(entry: Any, said: str, tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, methods=["icl", entry])
    assert fault.startswith("methods.1") and said in fault


def test_faults_of_methods_and_adapters_have_their_places(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        learning_rates=[],
        methods=[
            {"method": "sft", "lables": "icl_outputs"},
            {"method": "ia2", "low_data": {"unlabeled": 8}, "alignment": {"ouput": "mlp", "distance": "cosin"}},
        ],
        adapters=[
            {"type": "ia4", "learning_rates": [0.1]},
            {"type": "ia3", "moduls": ["q_proj"], "learning_rates": [0.1]},
            {"type": "prompt", "virtual_tokens": 0, "learning_rates": []},
            {"type": "full"},
        ],
    )
    assert sorted(line.partition(": ")[0] for line in found) == sorted(
        [
            *("methods.0.lables", "methods.1.low_data.unlabelled", "methods.1.low_data.unlabeled"),
            *("methods.1.alignment.ouput", "methods.1.alignment.distance"),
            *("adapters.0.type", "adapters.1.moduls", "adapters.2.virtual_tokens"),
            *("adapters.2.learning_rates", "adapters.3.learning_rates"),
        ]
    )
    assert "methods.0.lables: unknown key. Did you mean 'labels'?" in found
    assert "methods.1.low_data.unlabeled: unknown key. Did you mean 'unlabelled'?" in found
    assert "methods.1.alignment.ouput: unknown key. Did you mean 'output'?" in found
    assert "adapters.0.type: there is no such adapter. Did you mean 'ia3'?" in found
    assert "adapters.1.moduls: unknown key. Did you mean 'modules'?" in found
    assert "adapters.3.learning_rates: is missing" in found


def test_a_variant_twice_is_refused_however_it_is_written(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, methods=["sft", {"method": "sft", "labels": "ground_truth"}])
    assert "holds a value twice" in fault and "{'method': 'sft'}" in fault


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


def test_one_form_of_adapters_or_the_other(tmp_path: Path) -> None:
    kinds = [{"type": "ia3", "learning_rates": [0.1]}]
    (fault,) = faults(tmp_path, adapters=kinds, adapter={"type": "full"})
    assert fault.startswith("adapters: stands instead of adapter and learning_rates")
    (fault,) = faults(tmp_path, adapters=kinds * 2, learning_rates=[])
    assert "holds a value twice" in fault


def test_every_key_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
    models = (Recipe, Source, MethodEntry, AlignmentSpec, LowData, *ADAPTER_TYPES.values())
    keys = {key for model in models for key in model.model_fields} - {"method"}
    assert not [key for key in sorted(keys) if not re.search(rf"`[^`]*\b{key}\b[^`]*`", page)]
    for kind in ADAPTER_TYPES:
        assert f"`{kind}`" in page
    shipped = {path.stem for path in RECIPES_DIRECTORY.glob("*.yaml")}
    named = re.findall(r"`((?:demo|quickstart|embedded|paper)[a-z0-9_*]*)`", page.partition("## Shipped recipes")[2])
    assert not [name for name in shipped if not any(fnmatch(name, pattern) for pattern in named)]
    assert not [pattern for pattern in named if not any(fnmatch(name, pattern) for name in shipped)]
