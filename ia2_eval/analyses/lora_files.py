"""Low-rank factors from the file of a stored adapter, without torch and without the base model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError

from ia2_eval.analyses.subspace import Matrix
from ia2_eval.errors import UserError

WEIGHTS = "adapter_model.safetensors"


class Module(NamedTuple):
    """An adapted matrix."""

    layer: int | None
    """None outside the decoder layers."""
    matrix: str
    """Such as `q_proj`."""


class Factors(NamedTuple):
    b: Matrix
    """[d_out, r]"""
    a: Matrix
    """[r, d_in]"""


def read_lora(directory: Path) -> dict[Module, Factors]:
    """The factors of every adapted matrix of a PEFT directory, in float64, in the order of layers.

    Raises:
        UserError: there is no file of weights, it cannot be read, or it holds no pair of LoRA factors. It does not name
        the directory.
    """
    from safetensors.numpy import load_file

    try:
        tensors = load_file(directory / WEIGHTS)
    except FileNotFoundError as error:
        raise UserError(f"there is no {WEIGHTS}") from error
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise UserError(f"{WEIGHTS} cannot be read: {type(error).__name__}: {error}") from error
    factors = {}
    for name, b in tensors.items():
        partner = name.replace(".lora_B.", ".lora_A.")
        if partner != name and partner in tensors:
            module = name.partition(".lora_B.")[0]
            factors[_module(module)] = Factors(b.astype(np.float64), tensors[partner].astype(np.float64))
    if not factors:
        raise UserError(f"{WEIGHTS} holds no LoRA weights")
    return dict(sorted(factors.items(), key=lambda item: (item[0].layer is None, item[0].layer or 0, item[0].matrix)))


def _module(name: str) -> Module:
    layer = re.search(r"\.layers\.(\d+)\.", name)
    return Module(int(layer[1]) if layer else None, name.rpartition(".")[2])
