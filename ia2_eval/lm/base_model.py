"""The base model of an experiment: where its files are, what identifies them, and how they are loaded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ia2_eval.errors import UserError
from ia2_eval.frozen import Frozen

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class Base(Frozen):
    """The frozen language model that everything starts from."""

    model: str = Field(description="`embedded`, a local directory, or a hub repository")
    revision: str | None = Field(default=None, description="hub revision; None for a local directory")
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    fingerprint: str = Field(
        default="",
        description="hub commit, or sha256 of the local weights and configuration; in a recipe, what it must be",
    )


@dataclass(frozen=True)
class BaseFiles:
    """A base model on disk."""

    base: Base
    """The base with its fingerprint filled in."""
    directory: Path


@dataclass(frozen=True)
class BaseModel:
    """A base model in memory, in evaluation mode with frozen parameters."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


FILES = ("*.json", "*.safetensors", "*.model", "*.txt")
"""Files of a model directory that decide what the model and its tokenizer do."""


def locate(base: Base, weights: bool = True) -> BaseFiles:
    """Find the files of a base model, downloading what is not cached of a hub repository, and fingerprint them.

    Args:
        base: what to find.
        weights: False to leave a hub repository's weights where they are: its commit is known without them.

    Raises:
        UserError: the model is neither `embedded`, nor a local model directory, nor a hub repository that can be
        reached; it has no weights in the safetensors format; or it is not the one that `base` asks for.
    """
    directory = _local_directory(base)
    if directory is None:
        directory = _snapshot(base, FILES if weights else ("config.json",))
        fingerprint = directory.name  # a snapshot lives in a folder named by its commit
    elif base.revision is not None:
        raise UserError(f"the model {base.model!r} is a local directory, which has no revision {base.revision!r}")
    else:
        fingerprint = _digest(directory)
    if not (directory / "config.json").is_file():
        raise UserError(f"{base.model!r} is not a model: {str(directory)!r} holds no config.json")
    if weights and not any(directory.glob("*.safetensors")):
        raise UserError(f"{str(directory)!r} holds no .safetensors weights; convert the model with save_pretrained()")
    if base.fingerprint not in ("", fingerprint):
        raise UserError(f"the model {base.model!r} has the fingerprint {fingerprint!r}, not {base.fingerprint!r}")
    return BaseFiles(base.model_copy(update={"fingerprint": fingerprint}), directory)


def is_path(model: str) -> bool:
    """Whether a model's name is a path, which no hub repository's is. A relative one without dots may be either."""
    return model.startswith((".", "~")) or Path(model).is_absolute()


def short_name(model: str) -> str:
    """The last part of a path, for a path of this machine means nothing to a reader; the whole name of a repository."""
    return Path(model).name.lstrip(".") or "local model" if is_path(model) else model


def _local_directory(base: Base) -> Path | None:
    """The directory of a model on this machine; None when `base` names a hub repository."""
    if base.model == "embedded":
        from ia2_eval.embedded import MODEL_DIRECTORY

        return MODEL_DIRECTORY
    directory = Path(base.model).expanduser()
    if directory.is_dir():
        return directory
    if is_path(base.model):
        raise UserError(f"there is no model directory {base.model!r}")
    return None


def _digest(directory: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted({path for pattern in FILES for path in directory.glob(pattern)}):
        digest.update(f"{path.name}:{_sha256(path)}\n".encode())
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def _snapshot(base: Base, patterns: tuple[str, ...]) -> Path:
    """The local snapshot of a hub repository, with the files that match."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(base.model, revision=base.revision, allow_patterns=list(patterns)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise UserError(
            f"cannot get the model {base.model!r} (revision {base.revision or 'main'}): "
            f"{type(error).__name__}: {str(error).rstrip('.')}. "
            "Give a local model directory, log in with `hf auth login` if the model is gated, "
            "or use `embedded`, which needs no download."
        ) from error


def load(files: BaseFiles, device: str | None = None) -> BaseModel:
    """Load model and tokenizer.

    Within a group of processes (`sharded.join`) every one of them must call this, and has a part of the layers.

    Args:
        files: where they are.
        device: `cuda`, `mps` or `cpu`; `auto`: the layers spread over all GPUs of the machine, as accelerate divides
            them; None: the best device present. Within a group that which `join` gave.

    Raises:
        UserError: there is no such device, or the weights do not fit, which is found before they are read.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    from ia2_eval.lm.sharded import joined, read_sharded

    device = device or best_device()
    require_device(device)
    _require_room(files, device)

    def read(device_map: str | None = None) -> PreTrainedModel:
        dtype = getattr(torch, files.base.dtype)
        return AutoModelForCausalLM.from_pretrained(files.directory, dtype=dtype, device_map=device_map)

    tokenizer = AutoTokenizer.from_pretrained(files.directory)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if joined():
        model = read_sharded(read, device)
    elif device != "auto":
        model = read()
        model.to(device)
    else:
        model = read("auto")
        _require_whole(model, files.base)
    # What a model's files prescribe for chatting (sampling, repetition penalties) has no place in an evaluation.
    prescribed = model.generation_config
    model.generation_config = GenerationConfig(
        bos_token_id=prescribed.bos_token_id, eos_token_id=prescribed.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    return BaseModel(model.eval().requires_grad_(False), tokenizer)


def _require_room(files: BaseFiles, device: str) -> None:
    """
    Raises:
        UserError: the weights are larger than what is free on the device, or this process's part of them, or than the
            memory that they pass through.
    """
    from ia2_eval.lm.sharded import joined
    from ia2_eval.lm.size import available_bytes, require_room, size_of

    needed = size_of(files).weight_bytes
    if joined():
        from ia2_training.data_parallel import processes

        require_room(files.base, needed, available_bytes("cpu"), "cpu")  # one process after the other reads all
        needed = needed // processes()
    require_room(files.base, needed, available_bytes(device), device)


def _require_whole(model: PreTrainedModel, base: Base) -> None:
    """
    Raises:
        UserError: a part of the model is on no device; accelerate would fetch it for each forward pass.
    """
    if any(parameter.is_meta for parameter in model.parameters()):
        raise UserError(
            f"the model {base.model!r} in {base.dtype} does not fit into the devices of this machine: "
            "use more or larger GPUs, `dtype: bfloat16`, or a smaller model"
        )


def require_device(device: str) -> None:
    """
    Raises:
        UserError: there is no such device.
    """
    import torch

    if device == "auto":
        return
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0][:100]
        raise UserError(f"cannot use the device {device!r}: give cuda, mps, cpu or auto ({reason})") from error


def best_device() -> str:
    """The fastest kind of device that is present."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


SMALL = 20_000_000
"""Parameters below which a second CPU thread costs more than it brings."""


def use_threads_for(model: PreTrainedModel) -> None:
    """Use one CPU thread for a small model: its matrices are done before a second thread has woken up."""
    import torch

    if model.device.type == "cpu" and model.num_parameters() < SMALL:
        torch.set_num_threads(1)
