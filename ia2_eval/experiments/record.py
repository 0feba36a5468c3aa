"""What a cell left behind: one typed, versioned JSON file."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

from pydantic import Field
from pydantic_core import from_json

from ia2_eval.experiments.cell import Cell
from ia2_eval.frozen import Frozen

SCHEMA_VERSION = 1
"""Raised when a record of old must be read in another way. A field that is only added does not: it has a default, and
the default is what is true of the records that lack it."""


class Evaluation(Frozen):
    """Metrics of one cell on one benchmark."""

    eval: str = Field(description="benchmark name")
    ood: bool = Field(description="whether the benchmark is another than the source")
    n: int = Field(description="number of evaluated examples")
    metrics: dict[str, float] = Field(description="name -> value: `acc`, `ece`, ... (fractions, not per cent)")
    intervals: dict[str, tuple[float, float]] = Field(
        default_factory=dict, description="95 % bootstrap interval over examples, for the metrics that have one"
    )
    samples: str = Field(
        description="per-example rows (JSON lines), relative to the run's directory; empty where lm-eval kept none"
    )
    dev_samples: str | None = Field(
        default=None, description="rows of the dev examples that a temperature was fitted to, likewise"
    )
    scoring_version: int = Field(default=1, description="`SCORING_VERSION` of the code that gave the metrics")
    notes: tuple[str, ...] = Field(default=(), description="where the data differ from the hub's")


class TrainingPhase(Frozen):
    """One optimisation phase, such as alignment or cross-entropy."""

    loss: str
    steps: int = Field(description="optimiser steps taken")
    kept_step: int = Field(description="step whose weights were kept; 0 is the state before the first")
    dev_loss: float | None = Field(description="dev loss of the kept weights; None without a dev set")
    train_loss: float = Field(description="mean training loss of the last epoch")
    stopped: Literal["patience", "budget"] = Field(description="why it ended")


class Training(Frozen):
    phases: tuple[TrainingPhase, ...]
    extra_labels: int = Field(
        description="labelled dev examples beyond the N of D_T that decided when to stop; 0 where no phase reads labels"
    )
    trainable_parameters: int
    adapter: str = Field(
        description="PEFT directory, after full fine-tuning a checkpoint, relative to the run's directory"
    )

    @property
    def dev_loss(self) -> float | None:
        """Dev loss of the last phase: what a learning rate is chosen by."""
        return self.phases[-1].dev_loss


class StoredTraining(Frozen):
    """`training.json` beside a trained adapter: its part of the record, and what the training took."""

    training: Training
    together: int = Field(description="adapters that were trained in the same pass")
    seconds: float = Field(description="wall time of the pass, divided by its adapters")
    peak_memory_bytes: int | None = Field(default=None, description="of the whole pass; None where it is not known")


class Provenance(Frozen):
    created: str = Field(description="UTC, ISO 8601")
    versions: dict[str, str] = Field(description="package -> version")
    git_commit: str | None = None
    git_dirty: bool | None = None
    device: str
    wall_seconds: float = Field(
        description="training and evaluation; of a pass that trained several adapters, this one's equal share"
    )
    peak_memory_bytes: int | None = Field(
        default=None, description="of the process up to the end of the cell; None where it is not known"
    )


class Record(Frozen):
    """Everything known about one finished cell."""

    schema_version: int = SCHEMA_VERSION
    key: str
    cell: Cell
    status: Literal["ok", "failed"]
    error: str | None = Field(default=None, description="traceback of a failed cell")
    cause: str | None = Field(default=None, description="of a failed cell, in one line: what failures are grouped by")
    transient: bool = Field(default=False, description="whether a failed cell may do better as it is, at another time")
    attempt: int = Field(default=1, ge=1, description="how often the cell was run since it was last asked for")
    provenance: Provenance
    training: Training | None = None
    evaluations: tuple[Evaluation, ...] = ()


DIGEST = b',\n "digest": '


class NewerRecordError(ValueError):
    """A record that a later version of this package wrote."""


def dump_record(record: Record) -> bytes:
    """A record as its file has it: last, a digest of all that stands before, by which a change by hand is found."""
    content = record.model_dump_json(indent=1).removesuffix("\n}").encode()
    return content + DIGEST + f'"{_digest(content)}"\n}}\n'.encode()


def parse_record(content: bytes, stem: str) -> Record:
    """The record in a file called `<stem>.json`.

    Raises:
        NewerRecordError: its schema is of a later version.
        ValueError: the content is no record, that of another cell than the file name says, or it was altered.
    """
    record = Record.model_validate(read_unaltered(content))
    if not stem == record.key == record.cell.key:
        raise ValueError(f"file name, key {record.key} and key of its cell {record.cell.key} differ: it was altered")
    return record


def read_unaltered(content: bytes) -> dict[str, Any]:
    """The JSON form of a record, of which only schema and digest are looked at.

    Raises:
        NewerRecordError: its schema is of a later version.
        ValueError: it is no JSON object, or it was altered.
    """
    read = from_json(content)
    if not isinstance(read, dict):
        raise ValueError("it is no record")
    version = read.get("schema_version", SCHEMA_VERSION)
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise NewerRecordError(
            f"schema version {version}, this ia2-eval knows versions up to {SCHEMA_VERSION}: update ia2-eval"
        )
    digest = read.pop("digest", None)
    if digest is not None and digest != _digest(content.rpartition(DIGEST)[0]):  # early records have none
        raise ValueError("its content does not fit its digest: it was altered")
    return read


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
