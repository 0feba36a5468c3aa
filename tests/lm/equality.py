"""What it means that `ia2-hf` answers as lm-eval's own `hf`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from lm_eval.models.huggingface import HFLM

from ia2_eval.lm.ia2_hf import IA2HF


def ours(hf: HFLM, batch_size: int | str = 4, **settings: Any) -> IA2HF:
    return IA2HF(pretrained=hf.model, tokenizer=hf.tokenizer, batch_size=batch_size, **settings)


def assert_same(found: Sequence[tuple[float, bool]], expected: Sequence[tuple[float, bool]]) -> None:
    assert [answer[0] for answer in found] == pytest.approx([answer[0] for answer in expected], abs=1e-4, rel=0)
    assert [answer[1] for answer in found] == [answer[1] for answer in expected]
