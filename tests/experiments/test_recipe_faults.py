"""What is said of recipes that cannot be run."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from ia2_eval.errors import UserError
from ia2_eval.experiments.adapter_specs import ADAPTER_TYPES
from ia2_eval.experiments.engines.choice import EngineChoice
from ia2_eval.experiments.recipe_faults import faults_for_model
from ia2_eval.experiments.session import Overrides, dry_run
from ia2_eval.experiments.settings import Settings
from tests.experiments.test_recipe import GOOD, load


def faults(directory: Path, **changes: Any) -> list[str]:
    with pytest.raises(UserError) as refused:
        load(directory, GOOD | changes)
    first, *lines = str(refused.value).splitlines()
    assert first.endswith(" has 1 fault:" if len(lines) == 1 else f" has {len(lines)} faults:")
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
    assert "learning_rates.1: must be greater than 0 (found -0.1)" in found


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


def test_an_unknown_method_names_the_nearest(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, methods=["icl", "ia2_stf"])
    assert "no such method" in fault and "Did you mean 'ia2_sft'?" in fault


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
        ({"method": "soft_sft", "top_k": 0}, "top_k: must be at least 1; leave it out for all tokens (found 0)"),
        ({"method": "ia2", "alignment": {"layers": [1, 1]}}, "alignment.layers: names a layer twice: [1, 1]"),
        ({"method": "ia2", "alignment": {"layers": []}}, "layers: is empty: name at least one layer, or write `all`"),
        ({"method": "ia2", "alignment": {"layers": "first"}}, "layers: must be `all`, a list such as [0, 2, -1]"),
        (
            {"method": "ia2", "alignment": "mlp"},
            "a mapping with keys among output, layers, distance (found mlp)",
        ),
        (
            {"method": "ia2", "low_data": {"unlabelled": 8}, "demonstration_orders": 2},
            "low_data has orders of its own, which are trained on side by side; write "
            "low_data: {unlabelled: 8, orders: 2} instead",
        ),
        ("ia3", "is an adapter, not a method: write `adapter: ia3`"),
        (3, "must be a mapping with keys among method, labels"),
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
    kinds = ", ".join(ADAPTER_TYPES)
    assert f"adapters.0.type: there is no such adapter; must be one of {kinds} (found ia4)" in found
    assert "adapters.1.moduls: unknown key. Did you mean 'modules'?" in found
    assert "adapters.3.learning_rates: is missing" in found


def test_a_variant_twice_is_refused_however_it_is_written(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, methods=["sft", {"method": "sft", "labels": "ground_truth"}])
    assert "holds a value twice" in fault and "{method: sft}" in fault


def test_one_form_of_adapters_or_the_other(tmp_path: Path) -> None:
    kinds = [{"type": "ia3", "learning_rates": [0.1]}]
    (fault,) = faults(tmp_path, adapters=kinds, adapter={"type": "full"})
    assert fault.startswith("adapters: stands instead of adapter and learning_rates")
    (fault,) = faults(tmp_path, adapters=kinds * 2, learning_rates=[])
    assert fault == "adapters: holds a value twice: {type: ia3}"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"adapter": "dora"}, "adapter.type: there is no such adapter; must be one of lora, ia3, prompt, prefix, full"),
        ({"adapter": {"type": "dora"}}, "adapter.type: there is no such adapter; must be one of lora, ia3"),
        (
            {"adapter": {"type": None}},
            "adapter.type: must be one of lora, ia3, prompt, prefix, full (found {",
        ),
        ({"adapter": 3}, "adapter.type: must be one of lora, ia3"),
        ({"adapter": {"modules": []}}, "adapter.modules: is empty"),
        (
            {"adapters": ["prompt"], "learning_rates": []},
            "adapters.0: must be a mapping, such as {type: prompt, learning_rates: [0.001]} (found prompt)",
        ),
        ({"adapters": [["ia3"]], "learning_rates": []}, "adapters.0: must be a mapping"),
        ({"methods": [{"labels": "icl_outputs"}]}, "methods.0.method: is missing"),
        ({"benchmarks": ["sst2"]}, "benchmarks.0: must be a mapping with keys among source, n, evals (found sst2)"),
        ({"benchmarks": [{"source": "sst2", "n": 1}]}, "benchmarks.0.n.0: a training set has at least 2 examples"),
        ({"benchmarks": [{"source": "sst2", "n": [4, 0]}]}, "benchmarks.0.n.1: a training set has at least 2 examples"),
        ({"seeds": 0}, "seeds: must be a list, such as [0] (found 0)"),
        ({"temperature_scaling": 1.5}, "temperature_scaling: must be a valid boolean"),
        ({"agreement": True}, "agreement: must be a mapping with keys among samples, temperature (found true)"),
        ({"agreement": {"temperature": 1.0}}, "agreement.samples: is missing"),
        ({"agreement": {"samples": 1}}, "agreement.samples: must be greater than or equal to 2 (found 1)"),
        ({"agreement": {"samples": 2, "temperature": 0}}, "agreement.temperature: must be greater than 0 (found 0"),
        ({"agreement": {"samples": 2, "temperature": float("inf")}}, "agreement.temperature: must be a finite number"),
        (
            {"agreement": {"samples": 2, "temprature": 1.0}},
            "agreement.temprature: unknown key. Did you mean 'temperature'?",
        ),
    ],
)
def test_faults_are_said_in_the_words_of_the_recipe(changes: dict[str, Any], fault: str, tmp_path: Path) -> None:
    (found,) = faults(tmp_path, **changes)
    assert found.startswith(fault)


CONFIG = {"num_hidden_layers": 4, "vocab_size": 50, "max_position_embeddings": 64}


UNFIT: dict[str, Any] = {
    "methods": [
        {"method": "ia2", "alignment": {"layers": [0, -1]}},
        {"method": "ia2", "alignment": {"layers": [9]}},
        {"method": "ia2_sft", "alignment": {"layers": [0, -4]}},
        {"method": "soft_sft", "top_k": 50},
        {"method": "soft_sft", "top_k": 51},
    ],
    "adapters": [
        {"type": "prompt", "virtual_tokens": 62, "learning_rates": [0.1]},
        {"type": "prefix", "virtual_tokens": 63, "learning_rates": [0.1]},
    ],
    "learning_rates": [],
}


@pytest.mark.parametrize("config", [CONFIG, {"text_config": CONFIG}, {"vocab_size": 9, "text_config": CONFIG}])
def test_what_the_model_does_not_have(config: dict[str, Any], tmp_path: Path) -> None:
    recipe = load(tmp_path, GOOD | UNFIT)
    assert list(faults_for_model(recipe, config)) == [
        "methods.1.alignment.layers: The model has 4 layers, 0 to 3; it has no layer 9.",
        "methods.2.alignment.layers: layers = [0, -4] name a layer of the model's 4 twice.",
        "methods.4.top_k: the vocabulary has 50 tokens (found 51)",
        "adapters.1.virtual_tokens: the model has 64 positions, for virtual tokens, the prompt and the tokens of the "
        "answer (1 at most) (found 63)",
    ]


def test_what_a_model_does_not_say_is_not_checked(tmp_path: Path) -> None:
    assert not list(faults_for_model(load(tmp_path, GOOD | UNFIT), {"model_type": "unheard_of"}))
    assert not list(faults_for_model(load(tmp_path, GOOD), CONFIG))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (UNFIT, "does not fit the model 'embedded':\n  methods.1.alignment.layers: The model has 4 layers"),
        ({"learning_rates": []}, "learning_rates: is missing or empty, but sft must be trained with at least one"),
        ({"benchmarks": [{"source": "embedded_mood", "n": 5000}]}, "benchmarks.0: embedded_mood has 600 examples"),
        ({"benchmarks": [{"source": "embedded_mod", "n": 4}]}, "benchmarks.0.source: There is no benchmark"),
        (
            {"benchmarks": [{"source": "embedded_mood", "n": 4, "evals": ["agn"]}]},
            "benchmarks.0.evals: embedded_mood is not evaluated on 'agn'",
        ),
        ({"agreement": {"samples": 2}}, "agreement: no benchmark of this recipe has answers of several tokens"),
        (
            {"temperature_scaling": True, "benchmarks": [{"source": "embedded_arithmetic", "n": 4}]},
            "temperature_scaling: no benchmark of this recipe has answers of a single token",
        ),
        ({"temperature_scaling": True, "methods": ["no_icl"]}, "temperature_scaling: no_icl has no dev set"),
    ],
)
def test_what_cannot_be_run_is_refused_before_the_plan_is_shown(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(GOOD | {"benchmarks": [{"source": "embedded_mood", "n": 4}]} | changes))
    console = Console(file=io.StringIO())
    with pytest.raises(UserError) as refused:
        dry_run(path, tmp_path / "out", Overrides(), Settings(), console, EngineChoice())
    assert str(refused.value).startswith(f"{path}: {said}")
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]
