from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ia2_eval.errors import UserError
from ia2_eval.mtbench.generation.backends import BACKENDS, require_supported
from ia2_eval.mtbench.generation.commands import decoding_of, model_args_of, temperature_of
from ia2_eval.mtbench.generation.decoding_settings import PRESETS, DecodingSettings
from ia2_eval.mtbench.generation.requests import generation_arguments, text_seed
from ia2_eval.mtbench.generation.texts import Place

PLACE = Place(101, 0, 1)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"top_p": 0.9}, "top_p without effect"),
        ({"top_k": 5, "min_p": 0.1}, "top_k and min_p without effect"),
        ({"samples": 3}, "samples = 3"),
        ({"penalty_scope": "generated"}, "penalty_scope 'generated' without effect"),
        ({"temperature": -1}, "must be a number from 0 to 10"),
        ({"temperature": "warm"}, "per_category"),
        ({"top_q": 1}, "top_q"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said.replace("(", r"\(")):
        DecodingSettings.model_validate(settings)


def test_names_say_what_differs() -> None:
    assert DecodingSettings().name == "t0"
    assert PRESETS["urial"].name == "t0_rp1.15_max2048"
    assert PRESETS["fastchat"].name == "fastchat"
    settings = DecodingSettings(temperature=0.7, top_p=0.9, repetition_penalty=1.1, penalty_scope="generated")
    assert settings.name == "t0.7_p0.9_rp1.1_scope-generated"


def test_temperatures_of_categories() -> None:
    """FastChat's `temperature_config`; 0.7 for a category that it does not know."""
    settings = PRESETS["fastchat"]
    found = {name: settings.temperature_of(name) for name in ("writing", "math", "stem", "poetry")}
    assert found == {"writing": 0.7, "math": 0.0, "stem": 0.1, "poetry": 0.7}
    assert DecodingSettings(temperature=0.3).temperature_of("math") == 0.3


def arguments(
    backend: str, settings: DecodingSettings, category: str = "writing", place: Place = PLACE
) -> dict[str, Any]:
    return generation_arguments(BACKENDS[backend], settings, category, ("\n# Query:\n",), 64, place)


def test_sampling_follows_from_the_temperature() -> None:
    greedy = arguments("ia2-hf", DecodingSettings(repetition_penalty=1.15))
    expected = {"until": ["\n# Query:\n"], "max_gen_toks": 64, "do_sample": False, "repetition_penalty": 1.15}
    assert greedy == expected
    sampled = arguments("ia2-hf", DecodingSettings(temperature=0.7, top_p=0.9))
    assert sampled["do_sample"] is True and sampled["temperature"] == 0.7 and sampled["top_p"] == 0.9
    mixed = DecodingSettings(temperature="per_category", top_p=0.9)
    assert "top_p" not in arguments("vllm", mixed, "math") and arguments("vllm", mixed)["top_p"] == 0.9


def test_transformers_hidden_top_k_is_switched_off() -> None:
    assert arguments("hf", DecodingSettings(temperature=1.0))["top_k"] == 0


def test_every_text_has_its_own_seed() -> None:
    settings = DecodingSettings(temperature=1.0, samples=2, seed=3)
    places = [Place(question, sample, turn) for question in (1, 2) for sample in (0, 1) for turn in (1, 2)]
    seeds = [arguments("ia2-hf", settings, place=place)["seed"] for place in places]
    assert len(set(seeds)) == 8 and all(0 <= seed < 2**31 for seed in seeds)
    assert seeds == [text_seed(3, place) for place in places]
    assert text_seed(4, PLACE) != text_seed(3, PLACE)
    # An endpoint is asked for many texts at a time only if they are asked for alike.
    shared = {arguments("local-completions", settings, place=place)["seed"] for place in places}
    assert len(shared) == 4


@pytest.mark.parametrize(
    ("backend", "settings", "said"),
    [
        ("hf", {"repetition_penalty": 1.1, "penalty_scope": "generated"}, "hf knows no penalty_scope .* use ia2-hf"),
        ("openai-completions", {"temperature": 1.0, "top_k": 5}, "no top_k .* ia2-hf or hf or vllm"),
        ("ia2-hf", {"presence_penalty": 0.1}, "no presence_penalty"),
        (
            "vllm",
            {"repetition_penalty": 1.1, "penalty_scope": "generated", "presence_penalty": 0.1},
            "no backend knows them together",
        ),
    ],
)
def test_what_a_backend_cannot_is_refused(backend: str, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        require_supported(BACKENDS[backend], DecodingSettings.model_validate(settings))


def test_a_preset_with_a_change() -> None:
    found = decoding_of("urial", {"max_new_tokens": 64, "seed": None})
    assert found == DecodingSettings(repetition_penalty=1.15, max_new_tokens=64)
    with pytest.raises(UserError, match="Did you mean 'urial'"):
        decoding_of("urail", {})
    with pytest.raises(UserError, match="top_p without effect"):
        decoding_of("greedy", {"top_p": 0.5})


def test_values_of_the_command_line() -> None:
    assert temperature_of("0.5") == 0.5 and temperature_of("per_category") == "per_category"
    with pytest.raises(UserError, match="'hot'"):
        temperature_of("hot")
    found = model_args_of("base_url=http://127.0.0.1:1/v1,num_concurrent=8,x=0.5,trust=true")
    assert found == {"base_url": "http://127.0.0.1:1/v1", "num_concurrent": 8, "x": 0.5, "trust": True}
    with pytest.raises(UserError, match="'base_url' is not"):
        model_args_of("base_url")
