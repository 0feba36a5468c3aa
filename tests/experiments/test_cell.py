from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from ia2_eval.experiments.adapter_specs import Full, Ia3, Lora, Prefix, Prompt
from ia2_eval.experiments.agreement import Agreement
from ia2_eval.experiments.cell import Base, Cell
from ia2_eval.experiments.method_options import AlignmentSpec, LowData

CELL = Cell(
    base=Base(model="embedded", fingerprint="f"),
    source="sst2",
    n=4,
    seed=0,
    method="ia2",
    adapter=Lora(),
    learning_rate=1e-3,
    epochs=50,
    batch_size=4,
    target_tokens=1,
    evals=("sst2", "fins"),
    data="d",
)

CANONICAL = (
    '{"adapter":{"alpha":8,"modules":["q_proj","k_proj","o_proj"],"r":8,"type":"lora"},'
    '"base":{"dtype":"float32","fingerprint":"f"},"batch_size":4,"data":"d",'
    '"epochs":50,"evals":["sst2","fins"],"learning_rate":0.001,"method":"ia2","n":4,'
    '"protocol":"strict","seed":0,"source":"sst2","target_tokens":1,"version":1}'
)

OTHER: dict[str, Any] = {
    "version": 2,
    "base": Base(model="embedded", fingerprint="g"),
    "source": "agn",
    "n": 8,
    "seed": 1,
    "method": "sft",
    "labels": "icl_outputs",
    "sft_weight": 0.5,
    "top_k": 20,
    "alignment": AlignmentSpec(),
    "low_data": LowData(unlabelled=16),
    "demonstration_orders": 2,
    "adapter": Lora(r=4),
    "learning_rate": 3e-3,
    "epochs": 49,
    "batch_size": 2,
    "target_tokens": 2,
    "protocol": "paper",
    "evals": ("fins", "sst2"),
    "limit": 100,
    "temperature_scaling": True,
    "agreement": Agreement(samples=2),
    "data": "e",
}


def test_the_key_is_that_of_the_canonical_json() -> None:
    """Stored records are found by their keys, so these may not change by accident."""
    assert CELL.key == hashlib.sha256(CANONICAL.encode()).hexdigest()[:16]


def test_every_field_changes_the_key() -> None:
    assert set(OTHER) == set(Cell.model_fields)
    cells = [CELL, *(CELL.model_copy(update={name: value}) for name, value in OTHER.items())]
    assert len({cell.key for cell in cells}) == len(cells)


@pytest.mark.parametrize(
    "part",
    [
        {"base": Base(model="embedded", fingerprint="f", dtype="bfloat16")},
        {"adapter": Lora(alpha=16)},
        {"adapter": Lora(modules=("q_proj", "o_proj", "k_proj"))},
        {"adapter": Ia3()},
        {"adapter": Prompt()},
        {"adapter": Prefix()},
        {"adapter": Full()},
        {"agreement": Agreement(samples=3)},
        {"agreement": Agreement(samples=2, temperature=1.0)},
    ],
)
def test_every_part_changes_the_key(part: dict[str, Any]) -> None:
    other = CELL.model_copy(update={"agreement": Agreement(samples=2)} if "agreement" in part else {})
    assert CELL.model_copy(update=part).key not in (CELL.key, other.key)


def test_the_same_files_under_another_name_are_the_same_base() -> None:
    elsewhere = CELL.model_copy(update={"base": Base(model="other", revision="r", fingerprint="f")})
    assert elsewhere.key == CELL.key


def test_without_a_fingerprint_the_name_tells_bases_apart() -> None:
    a, b = (CELL.model_copy(update={"base": Base(model=name)}) for name in "ab")
    assert a.key != b.key


def test_the_key_survives_json() -> None:
    content = json.loads(CELL.model_dump_json())
    backwards = json.dumps(dict(reversed(content.items())))
    assert Cell.model_validate_json(backwards) == CELL
    assert Cell.model_validate_json(backwards).key == CELL.key


def test_the_key_is_the_same_in_another_process() -> None:
    code = "import sys; from ia2_eval.experiments.cell import Cell; print(Cell.model_validate_json(sys.argv[1]).key)"
    done = subprocess.run(
        [sys.executable, "-c", code, CELL.model_dump_json()],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == CELL.key


def test_every_kind_of_adapter_survives_json() -> None:
    for adapter in (Lora(r=4), Ia3(modules=("v_proj",)), Prompt(virtual_tokens=5), Prefix(), Full()):
        cell = CELL.model_copy(update={"adapter": adapter, "alignment": AlignmentSpec(layers=(0, 1))})
        assert Cell.model_validate_json(cell.model_dump_json()) == cell


def test_labels() -> None:
    assert CELL.label == "sst2 N=4 seed 0 ia2 lr 0.001"
    assert Cell(base=CELL.base, source="sst2", method="no_icl", evals=("sst2",), data="d").label == "sst2 no_icl"
    other = CELL.model_copy(update={"method": "sft", "labels": "icl_outputs", "adapter": Prompt(virtual_tokens=5)})
    assert other.label == "sst2 N=4 seed 0 sft (icl_outputs) prompt_5 lr 0.001"


def test_labels_of_adapters() -> None:
    assert Lora(r=4, alpha=16, modules=("q_proj", "v_proj")).label == "lora_r4_a16_qv"
    assert Ia3(modules=("k_proj", "down_proj")).label == "ia3_k-down"
    assert [kind.label for kind in (Prompt(), Prefix(virtual_tokens=3), Full())] == ["prompt_20", "prefix_3", "full"]


@pytest.mark.parametrize(
    ("options", "variant"),
    [
        ({}, ""),
        ({"labels": "icl_outputs"}, "icl_outputs"),
        ({"sft_weight": 0.1}, "w=0.1"),
        ({"top_k": 20}, "top 20"),
        ({"alignment": AlignmentSpec(layers=(2,))}, "layer 2"),
        ({"alignment": AlignmentSpec(layers=(-4, -3))}, "layers -4..-3"),
        ({"alignment": AlignmentSpec(output="mlp", layers=(0, 2, 5))}, "mlp layers 0,2,5"),
        (
            {"alignment": AlignmentSpec(output="residual", distance="cosine", layers=(0, 1, 2, 3))},
            "residual cosine layers 0-3",
        ),
        (
            {"low_data": LowData(unlabelled=16, orders=2), "labels": "icl_outputs"},
            "icl_outputs, low data M=16 K=2",
        ),
        ({"demonstration_orders": 3}, "3 orders"),
    ],
)
def test_variants(options: dict[str, Any], variant: str) -> None:
    assert CELL.model_copy(update=options).variant == variant


def test_a_weight_is_chosen_under_paper_and_a_variant_under_strict() -> None:
    cell = CELL.model_copy(update={"method": "ia2+sft", "sft_weight": 0.1, "protocol": "paper"})
    assert cell.variant == ""
    assert cell.label == "sst2 N=4 seed 0 ia2+sft w 0.1 lr 0.001"


def test_what_a_method_continues() -> None:
    options = {"low_data": LowData(unlabelled=8), "demonstration_orders": 2, "alignment": AlignmentSpec(output="mlp")}
    cell = CELL.model_copy(update={"method": "ia2_sft", "labels": "icl_outputs", **options})
    assert cell.before_last_phase and dict(cell.before_last_phase) == {
        "method": "ia2",
        "labels": None,
        "sft_weight": None,
        "top_k": None,
        **options,
    }
    backwards = cell.model_copy(update={"method": "sft_ia2"}).before_last_phase
    assert backwards and (backwards.labels, backwards.alignment, backwards.low_data) == (
        "icl_outputs",
        None,
        options["low_data"],
    )
    plain = cell.model_copy(update={"method": "sft_ia2", "labels": None}).before_last_phase
    assert plain and (plain.low_data, plain.demonstration_orders) == (None, None)  # ground truth has no use for them
    assert CELL.before_last_phase is None
