from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ia2_training import METHODS as TRAINING_METHODS

from ia2_eval.errors import UserError
from ia2_eval.experiments.adapter_specs import Lora
from ia2_eval.mtbench.comparison.recipe import METHODS, TRAINED, load_comparison
from ia2_eval.mtbench.generation.decoding_settings import PRESETS

SMALL = {"name": "small", "model": "embedded", "data": "embedded:arithmetic", "n": 3, "seeds": [0]}


def written(path: Path, **changes: object) -> Path:
    path = path / "recipe.yaml"
    path.write_text(yaml.safe_dump(SMALL | changes))
    return path


def test_short_forms_and_defaults(tmp_path: Path) -> None:
    recipe = load_comparison(written(tmp_path, judge="gpt-4", decoding="urial"))
    assert recipe.model.base == "embedded" and recipe.model.backend == "ia2-hf"
    assert recipe.n == (3,) and recipe.judge is not None and recipe.judge.model == "gpt-4"
    assert recipe.decoding == PRESETS["urial"]
    assert recipe.methods == ("no_icl", "instruction", "icl", "sft", "ia2", "ia2_sft")
    assert recipe.training.adapter == Lora() and recipe.training.dev == 0


def test_all_methods_of_training_can_be_compared() -> None:
    assert set(TRAINED) == set(TRAINING_METHODS) and set(TRAINED) < set(METHODS)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    faulty = {
        "methods": ["icl", "stf"],
        "training": {"learning_rates": 0.1, "adapter": "full", "epochs": 0},
        "seed": [0],
        "n": [3, 3],
        "decoding": "urail",
        "judge": {"model": "gpt-4", "temprature": 1},
    }
    with pytest.raises(UserError) as refused:
        load_comparison(written(tmp_path, **faulty))
    said = str(refused.value)
    assert "has 8 faults" in said
    for part in (
        "Did you mean 'sft'?",
        "training.learning_rates: unknown key. Did you mean 'learning_rate'?",
        "training.epochs",
        "full fine-tuning leaves no adapter",
        "seed: unknown key. Did you mean 'seeds'?",
        "n: holds a value twice: 3",
        "Did you mean 'urial'?",
        "judge.temprature: unknown key. Did you mean 'temperature'?",
    ):
        assert part in said, part


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"base": "x", "backend": "vllm"}, "sft, ia2, ia2_sft: adapters are trained on ia2-hf only"),
        ({"base": "x", "chat": True}, "demonstrations are shown to a base model"),
        ({"base": "x", "backend": "openai-chat-completions"}, "demonstrations are shown to a base model"),
        ({"base": "x", "backend": "vlm"}, "Did you mean 'vllm'"),
    ],
)
def test_models_that_cannot_be_compared(tmp_path: Path, model: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        load_comparison(written(tmp_path, model=model))


def test_untrained_methods_need_no_training(tmp_path: Path) -> None:
    recipe = load_comparison(written(tmp_path, model={"base": "x", "backend": "vllm"}, methods=["no_icl", "icl"]))
    assert recipe.methods == ("no_icl", "icl")


@pytest.mark.parametrize("name", ["comparison", "embedded_comparison"])
def test_shipped_recipes(name: str) -> None:
    assert load_comparison(Path(name)).name == name
