"""A frozen base whose layers are sharded over processes (FSDP2): each keeps a part of every weight, and gathers the
whole of a module only while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh

from .activations import recorded_modules
from .data_parallel import processes

if TYPE_CHECKING:
    from peft import PeftModel
    from torch.distributed.device_mesh import DeviceMesh
    from transformers import PreTrainedModel


def process_mesh(device: torch.device) -> DeviceMesh:
    """All processes of the group in a row; to be called by all of them at the same time."""
    return init_device_mesh(device.type, (processes(),))


def shard(model: PreTrainedModel, mesh: DeviceMesh) -> PreTrainedModel:
    """Shard the attention and feed-forward weights of all layers, in place, and put everything on the mesh's device.

    Embeddings, head and norms stay whole on every process. One module after the other is moved and cut: of a model on
    the CPU a device holds its part and one whole module at most. Adapters that are attached afterwards are whole.

    Attention and feed-forward network are units of their own, not the layer: alignment losses begin their backward pass
    at what is recorded within a layer, and FSDP gathers weights for it where the output of a unit gets its gradient.

    Args:
        model: a base model without an adapter, on the CPU.
        mesh: see `process_mesh`.

    Raises:
        ValueError: an unknown model layout, or a PyTorch without FSDP2.
    """
    if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 8):
        raise ValueError(f"FSDP2 of PyTorch {torch.__version__} cannot leave parameters out: install 2.8 or newer.")
    from torch.distributed.fsdp import fully_shard

    model.requires_grad_(False)
    units = [*recorded_modules(model, "attention"), *recorded_modules(model, "mlp")]
    for unit in units:
        fully_shard(unit, mesh=mesh)
    sharded = {parameter for unit in units for parameter in unit.parameters()}
    decoder = model.get_decoder()
    # A root of all units lets the weights of the next one be gathered while one runs; it shards nothing itself.
    fully_shard(decoder, mesh=mesh, ignored_params=set(decoder.parameters()) - sharded)
    device = torch.device(mesh.device_type)
    model.to(torch.device("cuda", torch.cuda.current_device()) if device.type == "cuda" else device)
    return model


def is_sharded(model: nn.Module | PreTrainedModel | PeftModel) -> bool:
    """Whether a model went through `shard`."""
    if processes() == 1:
        return False
    from torch.distributed.tensor import DTensor

    return any(isinstance(parameter, DTensor) for parameter in model.parameters())
