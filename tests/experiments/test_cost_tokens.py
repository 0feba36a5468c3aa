"""Tokens that are estimated against those that a run puts through the model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import planned, small_recipe, small_run

from ia2_eval.experiments import run as run_module
from ia2_eval.experiments.cost.estimate import Estimate, estimate
from ia2_eval.experiments.recipe import Recipe
from ia2_eval.experiments.settings import Settings
from ia2_eval.lm import ia2_hf
from ia2_eval.lm.base_model import load as load_base
from ia2_eval.lm.base_model import locate


def estimated(recipe: Recipe, done: tuple[str, ...] = (), **settings: Any) -> Estimate:
    """Without a calibration."""
    files = locate(recipe.base)
    return estimate(planned(recipe, files.base), done, files, Settings(device="cpu", **settings), budget=0)


class Counted:
    """Tokens that went through the model, padding left out."""

    def __init__(self) -> None:
        self.backward = self.forward = 0

    def __call__(self, model: Any, arguments: Any, inputs: dict[str, Any]) -> None:
        ids = arguments[0] if arguments else inputs["input_ids"]
        mask = inputs.get("attention_mask")
        tokens = ids.numel() if mask is None else int(mask[:, -ids.shape[1] :].sum())
        if torch.is_grad_enabled():
            self.backward += tokens
        else:
            self.forward += tokens


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counted]:
    """What the base of a run reads."""
    counts = Counted()

    def load(*arguments: Any) -> Any:
        base = load_base(*arguments)
        base.model.register_forward_pre_hook(counts, with_kwargs=True)
        return base

    monkeypatch.setattr(run_module, "load", load)
    monkeypatch.setattr(ia2_hf, "can_share_prefix", lambda model: True)  # not tried on texts of its own
    yield counts


PLANS: dict[str, dict[str, Any]] = {
    "all methods, several seeds": {"seeds": [0, 1]},
    "another size, micro-batches": {"benchmarks": [{"source": "embedded_mood", "n": 6}], "methods": ["icl", "ia2_sft"]},
    "orders and low data": {
        "methods": [
            {"method": "ia2", "demonstration_orders": 2},
            {"method": "sft", "labels": "icl_outputs", "low_data": {"unlabelled": 3, "orders": 2}},
        ]
    },
    "paper": {"protocol": "paper", "methods": ["no_icl", "sft", "ia2", "ia2_sft"]},
    "temperature": {"temperature_scaling": True, "methods": ["icl", "sft"]},
    "full and alone": {"adapter": "full", "methods": ["sft", "sft_ia2"]},
}


@pytest.mark.parametrize("name", PLANS)
def test_tokens_are_those_that_go_through_the_model(name: str, tmp_path: Path, counted: Counted) -> None:
    recipe = small_recipe(**PLANS[name])
    work = estimated(recipe).work
    done = small_run(recipe, tmp_path, micro_batch_size=2 if "micro" in name else None)
    assert [record.error for record in done.records if record.error] == []
    assert (work.trained, work.forward) == (counted.backward, counted.forward)
    assert work.trained == 0 or work.trained > 100
