from __future__ import annotations

from math import sqrt
from typing import Any

import pytest

from ia2_eval.analyses.similarity_rows import RunSimilarity
from ia2_eval.analyses.summaries import summarise_similarities
from ia2_eval.leaderboard.style import Column

T_2 = 4.302653  # t(0.975, 2)


def measured(method: str, seed: int, similarity: float, **changes: Any) -> RunSimilarity:
    values: dict[str, Any] = {
        "base": "tiny",
        "adapter": "" if method == "no_icl" else "lora",
        "protocol": "strict",
        "source": "sst2",
        "eval": "sst2",
        "N": 4,
        "seed": seed,
        "method": method,
        "variant": "",
        "learning_rate": 1e-3,
        "key": "k",
        "mode": "teacher_forced",
        "n": 100,
        "similarity": similarity,
        "accuracy": 0.5,
        "accuracy_metric": "acc",
        "ece": None,
        "ece_metric": "ece",
    }
    return RunSimilarity(**values | changes)


SFT = [measured("sft", seed, value) for seed, value in enumerate((0.1, 0.5, 0.9))]
IA2 = [measured("ia2", seed, value) for seed, value in enumerate((0.2, 0.7, 1.0))]


def test_differences_to_sft_are_paired_by_seed() -> None:
    """0.1, 0.2 and 0.1: a small spread although the seeds differ widely."""
    sft, ia2 = summarise_similarities(SFT + IA2)
    assert (sft.mean, sft.seeds, sft.minus_sft, sft.minus_sft_seeds) == (pytest.approx(0.5), 3, None, 0)
    assert sft.ci_high == pytest.approx(0.5 + T_2 * 0.4 / sqrt(3))
    assert ia2.minus_sft == pytest.approx(0.4 / 3)
    reach = T_2 * sqrt(0.01 / 3) / sqrt(3)
    assert (ia2.minus_sft_low, ia2.minus_sft_high) == pytest.approx((0.4 / 3 - reach, 0.4 / 3 + reach))


def test_only_seeds_that_both_have_are_compared_and_their_number_is_told() -> None:
    found = summarise_similarities([SFT[0], SFT[2], *IA2])
    (ia2,) = (line for line in found if line.method == "ia2")
    assert (ia2.seeds, ia2.minus_sft_seeds, ia2.minus_sft) == (3, 2, pytest.approx(0.1))


def test_another_adapter_variant_way_or_set_is_another_line_with_its_own_sft() -> None:
    others = [
        measured("sft", 0, 0.3, adapter="ia3"),
        measured("ia2", 0, 0.4, adapter="ia3"),
        measured("sft", 0, 0.8, variant="icl_outputs"),
        measured("ia2", 0, 0.9, mode="free_running"),
        measured("ia2", 0, 0.9, eval="fins"),
        measured("no_icl", 0, 0.9),
    ]
    found = {(s.adapter, s.mode, s.eval, s.column): s.minus_sft for s in summarise_similarities([*SFT, *IA2, *others])}
    assert len(found) == 8
    assert found["ia3", "teacher_forced", "sst2", Column("ia2")] == pytest.approx(0.1)
    assert found["lora", "teacher_forced", "sst2", Column("sft", "icl_outputs")] == pytest.approx(0.7)
    assert found["lora", "free_running", "sst2", Column("ia2")] is None
    assert found["lora", "teacher_forced", "fins", Column("ia2")] is None
    assert found["", "teacher_forced", "sst2", Column("no_icl")] is None


def test_one_seed_has_no_interval() -> None:
    _, ia2 = summarise_similarities([SFT[0], IA2[0]])
    assert ia2.ci_low is None and ia2.minus_sft_low is None and ia2.minus_sft == pytest.approx(0.1)
