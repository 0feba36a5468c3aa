"""Targets of the teacher on disk, under a key of everything that they depend on.

A set of targets is one safetensors file: for row i the tensors `i.response_ids`, `i.activations` and, where collected,
`i.log_probabilities` and `i.token_ids`; in its metadata the key, how many probabilities there are at each position, and
a checksum.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .batches import encode_prompt
from .config import TrainingConfig
from .data_parallel import decided_by_main, is_main_process, wait_for_all
from .examples import TrainingExample, in_demonstration_orders
from .methods import Method
from .targets import StoredTensor, Targets, TeacherTargets, stop_ids

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

FORMAT = 1
"""Changes whenever the same key would mean other contents."""

logger = logging.getLogger("ia2_training")


class TargetCache:
    """Targets that were collected before, so that methods, learning rates and later runs share them."""

    def __init__(self, directory: Path | str, base: str, *, in_memory: bool = False) -> None:
        """
        Args:
            directory: where the entries are; made when needed.
            base: fingerprint of the base model: other weights, other fingerprint.
            in_memory: read the activations once and keep them; otherwise they are read from disk at every use.
        """
        self.directory = Path(directory)
        self.base = base
        self.in_memory = in_memory
        self._sound: dict[tuple[str, int], float] = {}  # probabilities of entries that were checked, by key and time

    def get_or_collect(
        self,
        model: PreTrainedModel | PeftModel,
        tokenizer: PreTrainedTokenizerBase,
        train: Sequence[TrainingExample],
        dev: Sequence[TrainingExample],
        config: TrainingConfig,
        method: Method,
    ) -> TeacherTargets:
        """What `TeacherTargets.for_method` gives, from disk if it is there.

        An entry that holds more of the teacher's distributions than a method needs serves it too; one that holds less
        is collected again. One that is damaged, or that belongs to another key, is reported as a warning of the logger
        `ia2_training`, and replaced.

        Raises:
            ValueError: `config.answer_end` without `config.answer_end_name`, or what `collect_targets` refuses.
        """
        key = self._key(model, tokenizer, train, dev, config, method)
        if not decided_by_main(lambda: self._serves(key, method)):
            targets = TeacherTargets.for_method(model, tokenizer, train, dev, config, method)
            if is_main_process() and not self._serves(key, method):  # another run may have been here in the meantime
                self._write(key, [*targets.train, *targets.dev], _probabilities(method))
            wait_for_all()
            if self.in_memory:
                return targets
        found = self._load(key, method)
        taught = len(train) * config.demonstration_orders
        return TeacherTargets(tuple(found[:taught]), tuple(found[taught:]))

    def _key(
        self,
        model: PreTrainedModel | PeftModel,
        tokenizer: PreTrainedTokenizerBase,
        train: Sequence[TrainingExample],
        dev: Sequence[TrainingExample],
        config: TrainingConfig,
        method: Method,
    ) -> str:
        """Of everything that targets depend on. Of their distributions an entry may hold more or less."""
        if config.answer_end is not None and config.answer_end_name is None:
            raise ValueError(
                "Targets that are cut by an answer_end cannot be told from others by a function: name it "
                "(TrainingConfig.answer_end_name), a new name for every change of the rule."
            )
        examples = [*in_demonstration_orders(train, config.demonstration_orders, config.seed), *dev]
        content = {
            "format": FORMAT,
            "base": self.base,
            "dtype": str(model.dtype),
            "prompts": [encode_prompt(tokenizer, example.context) for example in examples],
            "max_new_tokens": config.max_new_tokens,
            "answer_end": None if config.answer_end is None else config.answer_end_name,
            "end_ids": [sorted(stop_ids(model)), tokenizer.eos_token_id],
            "output": method.alignment.output,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def _path(self, key: str) -> Path:
        return self.directory / f"{key}.safetensors"

    def _serves(self, key: str, method: Method) -> bool:
        """Whether there is an entry that is sound and holds enough for a method."""
        path = self._path(key)
        if not path.exists():
            return False
        try:
            entry = key, path.stat().st_mtime_ns
            if entry not in self._sound:
                self._sound[entry] = _stored_probabilities(path, key)
        except (SafetensorError, OSError, ValueError) as error:
            logger.warning("The cached targets %s are not used: %s. They are collected again.", path, error)
            path.unlink(missing_ok=True)
            return False
        return self._sound[entry] >= _probabilities(method)

    def _load(self, key: str, method: Method) -> list[Targets]:
        path = self._path(key)
        with safe_open(path, framework="pt") as file:
            names = set(file.keys())

            def tensor(name: str) -> Tensor | StoredTensor | None:
                if name not in names:
                    return None
                return file.get_tensor(name) if self.in_memory else StoredTensor(path, name)

            def distributions(name: str) -> Tensor | StoredTensor | None:
                return tensor(name) if method.asks_distributions else None

            rows = range(sum(name.endswith(".response_ids") for name in names))
            loaded = []
            for row in rows:
                source = tensor(f"{row}.activations")
                assert source is not None
                targets = Targets(
                    tuple(file.get_tensor(f"{row}.response_ids").tolist()),
                    source,
                    method.alignment.output,
                    distributions(f"{row}.log_probabilities"),
                    distributions(f"{row}.token_ids"),
                )
                loaded.append(targets if method.top_k is None else targets.narrowed(method.top_k))
        return loaded

    def _write(self, key: str, targets: Sequence[Targets], probabilities: float) -> None:
        """Write an entry under a name of its own first, so that it appears whole."""
        tensors: dict[str, Tensor] = {}
        for row, target in enumerate(targets):
            tensors[f"{row}.response_ids"] = torch.tensor(target.response_ids)
            tensors[f"{row}.activations"] = target.activations
            for name in ("log_probabilities", "token_ids"):
                value = getattr(target, name)
                if value is not None:
                    tensors[f"{row}.{name}"] = value
        tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
        metadata = {"key": key, "probabilities": str(probabilities)}
        checksum = hashlib.sha256(str(metadata).encode())
        for name in sorted(tensors):
            _add(checksum, name, tensors[name])
        self.directory.mkdir(parents=True, exist_ok=True)
        partial = self._path(key).with_suffix(f".{uuid4().hex[:12]}.partial")  # machines may share the directory
        try:
            save_file(tensors, partial, metadata=metadata | {"checksum": checksum.hexdigest()})
            partial.replace(self._path(key))
        finally:
            partial.unlink(missing_ok=True)


def _probabilities(method: Method) -> float:
    """How many of the teacher's probabilities a method needs at each position; infinity stands for all."""
    if not method.asks_distributions:
        return 0
    return math.inf if method.top_k is None else method.top_k


def _stored_probabilities(path: Path, key: str) -> float:
    """How many of the teacher's probabilities an entry holds at each position.

    Raises:
        ValueError: the entry is damaged, or another key's.
    """
    with safe_open(path, framework="pt") as file:
        metadata = dict(file.metadata() or {})
        expected = metadata.pop("checksum", None)
        if metadata.get("key") != key:
            raise ValueError(f"their key is {metadata.get('key')}")
        metadata = {name: metadata.get(name, "") for name in ("key", "probabilities")}
        checksum = hashlib.sha256(str(metadata).encode())
        for name in sorted(file.keys()):
            _add(checksum, name, file.get_tensor(name))
    if checksum.hexdigest() != expected:
        raise ValueError("their checksum is wrong")
    return float(metadata["probabilities"])


def _add(checksum: hashlib._Hash, name: str, tensor: Tensor) -> None:
    checksum.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
    checksum.update(tensor.flatten().view(torch.uint8).numpy().data)
