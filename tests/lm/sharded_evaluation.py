"""What the embedded model answers, with and without an adapter; as a script, by each process of a group."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ia2_training import Adapter, FullFineTuning, LoraAdapter, attach, detach
from lm_eval.api.instance import Instance

from ia2_eval.errors import UserError
from ia2_eval.lm.adapter_effect import require_effect
from ia2_eval.lm.base_model import Base, BaseModel, load, locate
from ia2_eval.lm.ia2_hf import IA2HF
from ia2_eval.lm.merged import merged_adapter
from ia2_eval.lm.sharded import join

QUESTIONS = ("a fine day", "what a bore , the", "one plus two")


def answers(base: BaseModel) -> dict[str, Any]:
    """Log-likelihoods and texts of the base, and of an adapter on it."""
    given = {"base": _asked(base.model, base)}
    adapted = attach(base.model, LoraAdapter(), seed=0)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(generator=_seeded(), std=0.05)
    require_effect(adapted, "default")
    given["adapter"] = _asked(adapted, base)
    detach(adapted)
    return given


def _seeded() -> Any:
    import torch

    return torch.Generator().manual_seed(1)


def _asked(model: Any, base: BaseModel) -> dict[str, Any]:
    lm = IA2HF(pretrained=model, tokenizer=base.tokenizer, batch_size=2)
    likelihoods = [Instance("loglikelihood", {}, (text, " good"), 0) for text in QUESTIONS]
    settings = {"until": ["\n\n"], "max_gen_toks": 8, "do_sample": False}
    texts = [Instance("generate_until", {}, (text, settings), 0) for text in QUESTIONS]
    return {
        "likelihoods": [value for value, _ in lm.loglikelihood(likelihoods, disable_tqdm=True)],
        "texts": lm.generate_until(texts, disable_tqdm=True),
    }


def refusals(base: BaseModel) -> dict[str, str]:
    """What cannot work on sharded weights, and what is said about it."""
    adapter: Adapter = FullFineTuning()
    said = {}
    try:
        attach(base.model, adapter, seed=0)
    except ValueError as error:
        said["full"] = str(error)
    adapted = attach(base.model, LoraAdapter(), seed=0)
    try:
        with merged_adapter(adapted):
            pass
    except UserError as error:
        said["merged"] = str(error)
    detach(adapted)
    return said


def main(out: Path) -> None:
    import torch.distributed as dist

    device = join("cpu")
    base = load(locate(Base(model="embedded")), device)
    told = {"answers": answers(base), "refusals": refusals(base)}
    (out / f"{dist.get_rank()}.json").write_text(json.dumps(told))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
