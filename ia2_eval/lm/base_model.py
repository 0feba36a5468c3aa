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
    fingerprint: str = Field(default="", description="hub commit, or sha256 of the local weights and configuration")


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


def locate(base: Base) -> BaseFiles:
    """Find the files of a base model, downloading a hub repository if it is not cached, and fingerprint them.

    Raises:
        UserError: the model is neither `embedded`, nor a local model directory, nor a hub repository that can be
        reached.
    """
    if base.model == "embedded":
        from ia2_eval.embedded import MODEL_DIRECTORY

        return _local(base, MODEL_DIRECTORY)
    directory = Path(base.model).expanduser()
    if directory.is_dir():
        return _local(base, directory)
    if directory.is_absolute() or base.model.startswith((".", "~")):
        raise UserError(f"there is no model directory {base.model!r}")
    return _hub(base)


def _local(base: Base, directory: Path) -> BaseFiles:
    if not (directory / "config.json").is_file():
        raise UserError(f"{str(directory)!r} is not a model directory: it holds no config.json")
    files = sorted(p for p in directory.iterdir() if p.suffix in {".json", ".safetensors", ".model", ".bin"})
    if not any(p.suffix == ".safetensors" for p in files):
        raise UserError(f"{str(directory)!r} holds no .safetensors weights; convert the model with save_pretrained()")
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name}:{_sha256(path)}\n".encode())
    return BaseFiles(base.model_copy(update={"fingerprint": digest.hexdigest()}), directory)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def _hub(base: Base) -> BaseFiles:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        directory = Path(
            snapshot_download(
                base.model,
                revision=base.revision,
                allow_patterns=["*.json", "*.safetensors", "*.model", "*.txt"],
            )
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise UserError(
            f"cannot get the model {base.model!r} (revision {base.revision or 'main'}): "
            f"{type(error).__name__}: {error}. "
            "Give a local model directory, log in with `hf auth login` if the model is gated, "
            "or use `embedded`, which needs no download."
        ) from error
    # A snapshot lives in a folder named by its commit, which identifies every file in it.
    return BaseFiles(base.model_copy(update={"fingerprint": directory.name}), directory)


def load(files: BaseFiles, device: str | None = None) -> BaseModel:
    """Load model and tokenizer on `device` (`cuda`, `mps` or `cpu`; the best one present when None)."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(files.directory)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(files.directory, dtype=getattr(torch, files.base.dtype))
    model.to(device or best_device())
    return BaseModel(model.eval().requires_grad_(False), tokenizer)


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
