"""How large a base model is, from its config.json alone, and whether it has room on a device: before it is loaded.

Shapes: d width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ia2_eval.errors import UserError

if TYPE_CHECKING:
    from ia2_training import Adapter
    from transformers import PreTrainedModel

    from ia2_eval.lm.base_model import Base, BaseFiles

GIB = 1 << 30
ADAPTER_VALUE_BYTES = 4
"""Adapters are float32 over every base that is loaded here, on disk and in memory."""
TRAINED_VALUE_BYTES = 16
"""Of a trained parameter: the value, its gradient and Adam's two moments, float32 each."""


@dataclass(frozen=True)
class ModelSize:
    """Sizes of a base model. Numbers of values unless they say bytes."""

    parameters: int
    """Parameters, tied ones once. Exact."""
    weight_bytes: int
    """Bytes of them in the dtype that the base is loaded in. Exact."""
    value_bytes: int
    """Bytes of one value in that dtype."""
    layers: int
    """Decoder layers."""
    width: int
    """d, values of the residual stream at a position."""
    query_width: int
    """Queries at a position in one layer: heads times their width."""
    key_value_width: int
    """Keys at a position in one layer; as many values."""
    mlp_width: int
    """Inner width of a layer's feed-forward network; with experts, of those that see a position, together."""
    vocabulary: int
    """V."""

    @property
    def key_value_bytes_per_token(self) -> int:
        """Bytes of the key-value cache at one position of one row. With sliding windows an upper bound."""
        return 2 * self.layers * self.key_value_width * self.value_bytes

    def activation_bytes(self, tokens: int, response_tokens: int = 1, *, checkpointing: bool = False) -> int:
        """A rough estimate, within a factor of two, of what one training pass keeps for its backward pass.

        For each position and layer, of values of b bytes: queries and attention outputs (2 q), keys and values (2 k),
        gate, its activation and the other factor of the MLP (3 f); and 5 d in float32: the inputs of two norms and of
        three LoRA modules. For each response position three vectors of logits in float32. With gradient checkpointing
        only the input of every layer (d) and one whole layer. Frozen weights need none of their inputs; the attention
        matrix is not counted, for fused attention never has it in memory.

        Args:
            tokens: positions of all rows of the pass, padding included.
            response_tokens: positions of all rows at which the response is predicted.
            checkpointing: whether layers run again in the backward pass.
        """
        inner = 2 * self.query_width + 2 * self.key_value_width + 3 * self.mlp_width
        layer = 20 * self.width + self.value_bytes * inner
        layers = self.layers * self.value_bytes * self.width + layer if checkpointing else self.layers * layer
        return tokens * layers + response_tokens * 12 * self.vocabulary


def size_of(files: BaseFiles) -> ModelSize:
    """The size of a base model, of which only config.json is read.

    Raises:
        UserError: the configuration is of no language model that transformers knows.
    """
    import torch

    model = _without_weights(files)
    config = model.config.get_text_config()
    value_bytes = getattr(torch, files.base.dtype).itemsize
    parameters = sum(parameter.numel() for parameter in model.parameters())
    head_width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    key_value_heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return ModelSize(
        parameters=parameters,
        weight_bytes=parameters * value_bytes,
        value_bytes=value_bytes,
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        query_width=config.num_attention_heads * head_width,
        key_value_width=key_value_heads * head_width,
        mlp_width=_mlp_width(config),
        vocabulary=config.vocab_size,
    )


def trainable_parameters(files: BaseFiles, adapter: Adapter) -> int:
    """Parameters that an adapter of a base trains; times `ADAPTER_VALUE_BYTES` on disk, `TRAINED_VALUE_BYTES` in
    training.

    Raises:
        UserError: see `size_of`.
        ValueError: the adapter names modules that the model does not have.
    """
    from ia2_training import attach

    if adapter.peft_config() is None:
        return size_of(files).parameters
    adapted = attach(_without_weights(files), adapter, seed=0)
    return sum(parameter.numel() for parameter in adapted.parameters() if parameter.requires_grad)


def require_room(base: Base, needed_bytes: int, available_bytes: int, device: str) -> None:
    """
    Args:
        base: what is to be loaded.
        needed_bytes: of its weights on the device; that training and evaluation need more is not looked at.
        available_bytes: see `available_bytes`.
        device: as in `base_model.load`.

    Raises:
        UserError: the weights alone do not fit.
    """
    if needed_bytes <= available_bytes:
        return
    remedies = ["a smaller model"]
    if device != "cpu":
        remedies.insert(0, "larger GPUs or more of them (`--gpus-per-worker`, or torchrun: docs/large_models.md)")
    if device.startswith("cuda"):
        remedies.insert(0, "`--device auto`, which spreads the layers over all GPUs")
    if base.dtype == "float32":
        remedies.insert(0, "`dtype: bfloat16`, half the size")
    raise UserError(
        f"the model {base.model!r} in {base.dtype} does not fit: its weights take {needed_bytes / GIB:.1f} GiB, and "
        f"{_of(device)} {available_bytes / GIB:.1f} GiB free. Use {', or '.join(remedies)}"
    )


def available_bytes(device: str) -> int:
    """Free memory of a device, in bytes; for `auto` that of all GPUs together, or of the CPU where there are none.

    What PyTorch holds without using it counts as free. Limits of a container on the CPU's memory are not seen.
    """
    import psutil
    import torch

    def free(gpu: str | int) -> int:
        return int(torch.cuda.mem_get_info(gpu)[0] + torch.cuda.memory_reserved(gpu) - torch.cuda.memory_allocated(gpu))

    if device.startswith("cuda"):
        return free(device)
    if device == "auto" and torch.cuda.is_available():
        return sum(map(free, range(torch.cuda.device_count())))
    if device == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
    return int(psutil.virtual_memory().available)


def _of(device: str) -> str:
    return "all GPUs together have" if device == "auto" else f"the device {device!r} has"


def _without_weights(files: BaseFiles) -> PreTrainedModel:
    """The model with parameters that have shapes but no values."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(files.directory)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config, dtype=getattr(torch, files.base.dtype))
    except (ValueError, KeyError, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(
            f"{str(files.directory / 'config.json')!r} is of no language model that transformers can load: {reason}. "
            "Give a causal language model, or install a newer transformers"
        ) from error


def _mlp_width(config: object) -> int:
    """Of the experts that see a position, together, where there are experts."""
    experts = getattr(config, "num_experts_per_tok", None)
    width = getattr(config, "moe_intermediate_size", None) or getattr(config, "intermediate_size", None)
    return int(width or 4 * config.hidden_size) * int(experts or 1)  # type: ignore[attr-defined]
