"""Every score of a search, written down when it is there."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ia2_eval.atomic import write_atomically
from ia2_eval.errors import UserError
from ia2_eval.frozen import Frozen
from ia2_eval.mtbench.questions import read_lines
from ia2_eval.mtbench.writing import append_line

Part = Literal["dev", "held_out"]


class Trial(Frozen):
    """A prompt set, scored on some items."""

    part: Part
    round: int
    """From 1; 0 for the starting set."""
    candidate: int | None
    """Row of the demonstration that is tried, in the pool; None for a set that is not being chosen."""
    prompt_sha256: str
    rows: tuple[int, ...]
    """Of the items."""
    scores: tuple[float | None, ...]
    """None where there is none, such as after a failed judgment."""
    seconds: float


@dataclass
class TrialLedger:
    """`trials.jsonl`: a line for each trial, added when it is done."""

    path: Path
    scores: dict[tuple[str, int], float | None] = field(default_factory=dict)
    """By prompt set and row."""

    @classmethod
    def open(cls, path: Path) -> TrialLedger:
        """With the trials of earlier runs; half a line at the end, of a run that was killed, is cut off.

        Raises:
            UserError: a line is no trial, or the file cannot be read.
        """
        ledger = cls(path)
        try:
            content = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}") from error
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            write_atomically(path, whole)
        if whole.strip():
            for trial in read_lines(path, Trial, "the trials of an earlier run"):
                ledger._know(trial)
        return ledger

    def add(self, trial: Trial) -> None:
        """
        Raises:
            UserError: the file cannot be written.
        """
        append_line(self.path, (json.dumps(trial.model_dump(mode="json")) + "\n").encode("ascii"))
        self._know(trial)

    def _know(self, trial: Trial) -> None:
        self.scores |= {(trial.prompt_sha256, row): score for row, score in zip(trial.rows, trial.scores, strict=True)}
