"""Putting adapters on a base model, taking them off, and saving them.

All trained parameters are float32 over a base in half precision (float64 over float64): in bfloat16 an update of less
than about 0.4 % of a weight would vanish.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from peft import (
    PeftConfig,
    PeftModel,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from safetensors.torch import load_file
from torch import nn

from .adapters import Adapter
from .full_fine_tuning import is_fully_trained, load_parameters, restore_parameters, train_all_parameters
from .sharding import is_sharded

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Where an adapter came from and who wrote it, not what it is.
PROVENANCE = {"auto_mapping", "base_model_name_or_path", "inference_mode", "peft_version", "revision"}


def attach(
    model: PreTrainedModel, adapter: Adapter, *, seed: int, initial_adapter: Path | None = None
) -> PreTrainedModel | PeftModel:
    """Attach a trainable adapter, in place: fresh from the seed, or with the weights of a saved one.

    The base is frozen, unless it is what is trained. The caller's random numbers are left as they were, and the initial
    values do not depend on the device.

    Args:
        model: the base model; `detach` gives it back.
        adapter: what to attach.
        seed: seed of the initial values.
        initial_adapter: a directory of `save_adapter` to take the weights from.

    Returns:
        The base wrapped by PEFT, or under full fine-tuning the model itself, in eval mode: nothing is to drop out.

    Raises:
        ValueError: the model already carries an adapter, a module name matches nothing, all parameters of a sharded
            model are to be trained, or `initial_adapter` is no saved adapter, holds another kind of adapter or that of
            another model.
    """
    require_no_adapter(model)
    config = adapter.peft_config()
    if config is None and is_sharded(model):
        raise ValueError(
            "Full fine-tuning needs whole weights in every process, and the model is sharded over several: train an "
            "adapter (LoRA, for example), or take one process with a GPU that is large enough."
        )
    _require_modules(model, config)
    if initial_adapter is not None:
        _require_saved(initial_adapter, config)
    dtype = model.dtype
    with torch.random.fork_rng(devices=[]):  # PEFT draws on the CPU, wherever the model is
        torch.default_generator.manual_seed(seed)
        adapted = train_all_parameters(model) if config is None else get_peft_model(model, config)
    try:
        if config is not None:
            _raise_precision(adapted, dtype)
        if initial_adapter is not None:
            _load(adapted, initial_adapter)
    except BaseException:
        detach(adapted)
        raise
    return adapted.eval()


def detach(adapted: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """Remove the adapter; the base model with its weights as they were, bit for bit, and frozen."""
    if is_fully_trained(adapted):
        return restore_parameters(adapted)
    if adapted.active_peft_config.is_prompt_learning:
        return adapted.get_base_model()  # virtual tokens leave no trace in it
    base = adapted.unload()
    if hasattr(base, "peft_config"):  # older PEFT versions leave it behind
        del base.peft_config
    return base


def save_adapter(adapted: PreTrainedModel | PeftModel, directory: Path | str) -> None:
    """Write the adapter in PEFT's own format, for `PeftModel.from_pretrained` or lm-eval's `peft=DIRECTORY`; a fully
    trained model as an ordinary checkpoint without a tokenizer, for `AutoModelForCausalLM.from_pretrained`.

    Every file appears whole, and the configuration (`adapter_config.json`, `config.json`) last: a directory that has it
    is complete.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory, prefix=".partial-") as partial:
        if is_fully_trained(adapted):
            adapted.save_pretrained(partial)
        else:
            adapted.save_pretrained(partial, save_embedding_layers=False)
            sort_module_names(Path(partial))
        (Path(partial) / "README.md").unlink(missing_ok=True)  # PEFT's model card is a form that nobody filled in
        last = _configuration_file(adapted)
        for file in sorted(Path(partial).iterdir(), key=lambda file: file.name == last):
            file.replace(directory / file.name)


def sort_module_names(directory: Path) -> None:
    """Put the names of modules in the configuration of a saved adapter in order: equal adapters are equal files then.

    PEFT has them as sets, whose order is another one in every process.
    """
    path = directory / "adapter_config.json"
    content = json.loads(path.read_bytes())
    names = ("target_modules", "feedforward_modules")
    ordered = {name: sorted(content[name]) for name in names if isinstance(content.get(name), list)}
    path.write_text(json.dumps(content | ordered, indent=2, sort_keys=True), encoding="utf-8")


def require_no_adapter(model: PreTrainedModel | PeftModel) -> None:
    """Raises:
    ValueError: the model carries an adapter, or all its parameters are being trained.
    """
    if hasattr(model, "peft_config") or is_fully_trained(model):
        raise ValueError(
            "The model already carries an adapter. Take it off first: Adapted.detach() or ia2_training.detach()."
        )


def _configuration_file(adapted: PreTrainedModel | PeftModel) -> str:
    return "config.json" if is_fully_trained(adapted) else "adapter_config.json"


def _require_modules(model: nn.Module, config: PeftConfig | None) -> None:
    """Every target module of the configuration must match: PEFT itself is content when one of them does."""
    names = {name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    missing = sorted(set(getattr(config, "target_modules", None) or ()) - names)
    if missing:
        raise ValueError(
            f"The model has no linear module named {', '.join(map(repr, missing))}. It has: {', '.join(sorted(names))}."
        )


def _raise_precision(adapted: PeftModel, dtype: torch.dtype) -> None:
    """PEFT does this for some kinds of adapters only."""
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.promote_types(dtype, torch.float32))


def _require_saved(directory: Path, config: PeftConfig | None) -> None:
    names = ("config.json",) if config is None else ("adapter_config.json", "adapter_model.safetensors")
    for name in names:
        if not (directory / name).is_file():
            raise ValueError(f"{directory} is no saved adapter of this kind: it has no {name}.")


def _load(adapted: PreTrainedModel | PeftModel, directory: Path) -> None:
    """Take over the weights of a saved adapter of the same configuration."""
    if is_fully_trained(adapted):
        load_parameters(adapted, directory)
        return
    wanted, saved = _identity(adapted.active_peft_config), _identity(PeftConfig.from_pretrained(str(directory)))
    different = sorted(key for key in wanted.keys() | saved.keys() if wanted.get(key) != saved.get(key))
    if "peft_type" in different:
        different = ["peft_type"]  # which explains all others
    if different:
        differences = "; ".join(f"{key} is {saved.get(key)!r}, not {wanted.get(key)!r}" for key in different)
        raise ValueError(f"{directory} holds another kind of adapter: {differences}.")
    weights: dict[str, torch.Tensor] = load_file(directory / "adapter_model.safetensors")
    expected = {key: value.shape for key, value in get_peft_model_state_dict(adapted).items()}
    if {key: value.shape for key, value in weights.items()} != expected:
        raise ValueError(f"{directory} does not fit this model: its weights have other names or shapes.")
    set_peft_model_state_dict(adapted, weights)


def _identity(config: PeftConfig) -> dict[str, Any]:
    settings = {key: value for key, value in config.to_dict().items() if key not in PROVENANCE}
    return settings | {"peft_type": str(config.peft_type.value)}
