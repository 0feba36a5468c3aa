"""Adapters on disk, in PEFT's format."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.record import parse_record

CONFIGURATION = "adapter_config.json"
WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
BASE_NAME = "base"
"""Name of the results of the base without an adapter."""
KINDS = ("LORA", "IA3", "PROMPT_TUNING", "PREFIX_TUNING")
"""What PEFT calls the kinds that are put on a base and taken off it again here."""


@dataclass(frozen=True)
class StoredAdapter:
    """An adapter and the name that its results go by."""

    name: str
    directory: Path

    @cached_property
    def configuration(self) -> dict[str, Any]:
        """The content of adapter_config.json."""
        path = self.directory / CONFIGURATION
        try:
            content: dict[str, Any] = json.loads(path.read_bytes())
            content["peft_type"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{str(path)!r} is not the configuration of an adapter: {error!r}") from error
        return content

    @property
    def kind(self) -> str:
        return str(self.configuration["peft_type"])

    @cached_property
    def cell(self) -> Cell | None:
        """What was trained, as the record or the plan of its run says; None for an adapter that lies in no run."""
        directory = self.directory.resolve()
        run, key = directory.parent.parent, directory.name
        try:
            return parse_record((run / "records" / f"{key}.json").read_bytes(), key).cell
        except (OSError, ValueError):
            pass  # trained and not evaluated yet, or damaged
        try:
            return Cell.model_validate(json.loads((run / "plan.json").read_bytes())[key])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @cached_property
    def sha256(self) -> str:
        """Of configuration and weights."""
        files = (self.directory / name for name in (CONFIGURATION, *WEIGHTS))
        return hashlib.sha256(b"".join(path.read_bytes() for path in files if path.is_file())).hexdigest()


def find_adapters(
    given: Sequence[str],
    runs: Sequence[Path] = (),
    base: str = "BASE",
    methods: Sequence[str] = (),
    sources: Sequence[str] = (),
) -> list[StoredAdapter]:
    """The adapters that a command line names.

    Args:
        given: `DIR`, which is also what the results are called, or `NAME=DIR`.
        runs: the --out of runs; all PEFT adapters in their `adapters/`, by their keys.
        base: the base model, for messages.
        methods, sources: take only these of the runs' adapters; () for all.

    Raises:
        UserError: one of them is no adapter that can be evaluated here, or two have the same name; all are listed. Or
            no adapter of the runs has such a method or source.
    """
    if base == "embedded":
        from ia2_eval.embedded import MODEL_DIRECTORY

        base = str(MODEL_DIRECTORY)  # messages advise lm-eval's command, which does not know the name
    found = [_named(each) for each in given]
    faults = [fault for adapter in found for fault in _faults(adapter, base)]
    of_runs: list[StoredAdapter] = []
    for run in runs:
        members = [path.parent for path in sorted(run.glob(f"adapters/*/{CONFIGURATION}"))]
        if not members:
            whole = (
                f" (of fully trained models {count}: evaluate one with --base DIR)"
                if (count := count_whole_models(run))
                else ""
            )
            faults.append(f"{str(run)!r} holds no adapters/*/{CONFIGURATION}: give the --out of `ia2-eval run`{whole}")
        of_runs += [StoredAdapter(directory.name, directory) for directory in members]
    found += _chosen(_chosen(of_runs, "method", methods), "source", sources)
    faults += _name_faults(adapter.name for adapter in found)
    if faults:
        raise UserError("\n  ".join(["these adapters cannot be evaluated:", *faults]) if len(faults) > 1 else faults[0])
    return found


def count_whole_models(run: Path) -> int:
    """Fully trained models among the adapters of a run."""
    models = (path.parent for path in run.glob("adapters/*/config.json"))
    return sum(not (directory / CONFIGURATION).is_file() for directory in models)


def _chosen(adapters: list[StoredAdapter], field: str, wanted: Sequence[str]) -> list[StoredAdapter]:
    """Those whose cell has one of the wanted values in a field."""
    if not wanted:
        return adapters
    having = [(str(getattr(adapter.cell, field)), adapter) for adapter in adapters if adapter.cell]
    for value in wanted:
        known = sorted({each for each, _ in having})
        if value not in known:
            raise UserError(f"--{field}: no adapter of --adapters-from is of {value!r}.{did_you_mean(value, known)}")
    return [adapter for value, adapter in having if value in wanted]


def _named(given: str) -> StoredAdapter:
    name, separator, directory = given.partition("=")
    if not separator or "/" in name:
        name, directory = "", given
    path = Path(directory).expanduser()
    return StoredAdapter(name or path.resolve().name, path)


def _faults(adapter: StoredAdapter, base: str) -> Iterable[str]:
    directory = str(adapter.directory)
    if not adapter.directory.is_dir():
        yield f"{directory!r} is not a directory: give one with {CONFIGURATION} and {WEIGHTS[0]}"
    elif (adapter.directory / CONFIGURATION).is_file():
        if not any((adapter.directory / name).is_file() for name in WEIGHTS):
            yield f"{directory!r} holds no {WEIGHTS[0]}"
        if adapter.kind not in KINDS:
            yield (
                f"{directory!r} is of kind {adapter.kind}, and only {', '.join(KINDS)} share a loaded base: use "
                f"`ia2-eval lm-eval run --model ia2-hf --model_args pretrained={base},peft={directory} ...`"
            )
    elif (adapter.directory / "config.json").is_file():
        yield (
            f"{directory!r} is a whole model, not an adapter: use "
            f"`ia2-eval lm-eval run --model ia2-hf --model_args pretrained={directory},tokenizer={base} ...`"
        )
    else:
        yield f"{directory!r} holds no {CONFIGURATION}: it is not an adapter of PEFT"


def _name_faults(names: Iterable[str]) -> Iterable[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield f"two adapters are called {name!r}: name one with --adapter NAME=DIR"
        if name == BASE_NAME or name.startswith(".") or not name:
            yield f"an adapter cannot be called {name!r}: name it with --adapter NAME=DIR"
        seen.add(name)
