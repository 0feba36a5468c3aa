from __future__ import annotations

from typing import Any

import pytest
from ia2_training import METHODS, Alignment, Method
from ia2_training.losses import AlignmentLoss, CrossEntropyLoss, JointLoss, SoftLabelLoss

RESIDUAL = Alignment(output="residual", layers=(1,), distance="cosine")


@pytest.mark.parametrize(
    ("method", "phases"),
    [
        (Method("sft"), [CrossEntropyLoss("ground_truth")]),
        (Method("sft", labels="ground_truth"), [CrossEntropyLoss("ground_truth")]),
        (Method("sft", labels="icl_outputs"), [CrossEntropyLoss("teacher")]),
        (Method("ia2"), [AlignmentLoss()]),
        (Method("ia2", alignment=RESIDUAL), [AlignmentLoss(RESIDUAL)]),
        (Method(), [AlignmentLoss(), CrossEntropyLoss("ground_truth")]),
        (
            Method("ia2_sft", labels="icl_outputs", alignment=RESIDUAL),
            [AlignmentLoss(RESIDUAL), CrossEntropyLoss("teacher")],
        ),
        (Method("sft_ia2"), [CrossEntropyLoss("ground_truth"), AlignmentLoss()]),
        (Method("sft_ia2", labels="icl_outputs"), [CrossEntropyLoss("teacher"), AlignmentLoss()]),
        (Method("ia2+sft"), [JointLoss(0.5)]),
        (Method("ia2+sft", labels="icl_outputs", sft_weight=0.1, alignment=RESIDUAL), [JointLoss(0.1, RESIDUAL)]),
        (Method("soft_sft"), [SoftLabelLoss()]),
        (Method("soft_sft", labels="icl_outputs", top_k=5), [SoftLabelLoss(5)]),
    ],
    ids=str,
)
def test_phases(method: Method, phases: list[Any]) -> None:
    assert list(method.phases) == phases
    assert method.asks_teacher == any(loss.response == "teacher" for loss in phases)
    assert method.asks_distributions == (method.name == "soft_sft")


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        ({"name": "ia2", "labels": "icl_outputs"}, "alignment has no labels"),
        ({"name": "ia2", "labels": "ground_truth"}, "alignment has no labels"),
        ({"name": "ia2+sft", "labels": "ground_truth"}, "both losses share one forward pass over the teacher's output"),
        ({"name": "soft_sft", "labels": "ground_truth"}, "soft labels are the teacher's distributions"),
        ({"name": "sft", "labels": "gold"}, "must be 'ground_truth' or 'icl_outputs'"),
        ({"name": "ia2_sft", "sft_weight": 0.5}, "only ia2.sft weighs two losses"),
        ({"name": "ia2+sft", "sft_weight": 1.5}, "must be from 0 to 1"),
        ({"name": "ia2+sft", "sft_weight": float("nan")}, "must be from 0 to 1"),
        ({"name": "sft", "top_k": 5, "labels": "icl_outputs"}, "only soft_sft learns from distributions"),
        ({"name": "soft_sft", "top_k": 0}, "must be at least 1"),
        ({"name": "sft", "alignment": RESIDUAL}, "this method aligns nothing"),
        ({"name": "soft_sft", "alignment": RESIDUAL}, "this method aligns nothing"),
        ({"name": "ia3"}, r"no method 'ia3'. Did you mean 'ia2'\?"),
        ({"name": "distil"}, "Known: sft, ia2, ia2_sft, sft_ia2"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(choices: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Method(**choices)


def test_all_reasons_at_once() -> None:
    with pytest.raises(ValueError, match=r"sft: sft_weight = 2.*only.*from 0 to 1; top_k = 3.*aligns nothing"):
        Method("sft", sft_weight=2, top_k=3, alignment=RESIDUAL)


def test_the_method_of_all_phases_but_the_last() -> None:
    assert Method("ia2_sft", labels="icl_outputs", alignment=RESIDUAL).before_last_phase == Method(
        "ia2", alignment=RESIDUAL
    )
    assert Method("sft_ia2", labels="icl_outputs", alignment=RESIDUAL).before_last_phase == Method(
        "sft", labels="icl_outputs"
    )
    for name in METHODS:
        method = Method(name)
        before = method.before_last_phase
        assert method.phases[:-1] == (before.phases if before else ())
        assert len(method.phases) == (2 if before else 1)
