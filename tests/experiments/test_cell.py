from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from ia2_eval.experiments.cell import Base, Cell, Lora

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
    "adapter": Lora(r=4),
    "learning_rate": 3e-3,
    "epochs": 49,
    "batch_size": 2,
    "target_tokens": 2,
    "protocol": "paper",
    "evals": ("fins", "sst2"),
    "limit": 100,
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
    ],
)
def test_every_part_changes_the_key(part: dict[str, Any]) -> None:
    assert CELL.model_copy(update=part).key != CELL.key


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


def test_labels() -> None:
    assert CELL.label == "sst2 N=4 seed 0 ia2 lr 0.001"
    assert Cell(base=CELL.base, source="sst2", method="no_icl", evals=("sst2",), data="d").label == "sst2 no_icl"
    assert Lora(r=4, alpha=16, modules=("q_proj", "v_proj")).label == "lora_r4_a16_qv"
