"""All that is reported together: the records of any number of directories."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from ia2_eval.errors import UserError
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.record import Evaluation, Record
from ia2_eval.leaderboard.results.headline import PUBLISHED, STRICT_LABELS, Headline
from ia2_eval.leaderboard.results.lm_eval_files import LmEvalRun, is_lm_eval_directory, read_lm_eval
from ia2_eval.leaderboard.results.outcomes import Outcomes, outcomes
from ia2_eval.leaderboard.results.read import PLAN, Sample, read_run


class Source(Protocol):
    """One of the directories: see `Run` for what its parts are."""

    @property
    def directory(self) -> Path: ...
    @property
    def records(self) -> tuple[Record, ...]: ...
    @property
    def plan(self) -> dict[str, Cell] | None: ...
    @property
    def faults(self) -> tuple[str, ...]: ...
    @property
    def notes(self) -> tuple[str, ...]: ...

    def record_path(self, record: Record) -> Path:
        """The file that the record was read from."""

    def samples(self, evaluation: Evaluation) -> tuple[Sample, ...]:
        """
        Raises:
            UserError: the file cannot be used.
        """


@dataclass(frozen=True)
class Results:
    """Of a cell that several directories have, the newest finished record counts; failures where there is no other."""

    sources: tuple[Source, ...]

    @cached_property
    def _source_of(self) -> dict[str, tuple[Source, Record]]:
        found: dict[str, tuple[Source, Record]] = {}
        pairs = [(source, record) for source in self.sources for record in source.records]
        for source, record in sorted(pairs, key=lambda pair: (pair[1].status == "ok", pair[1].provenance.created)):
            found[record.key] = source, record
        return found

    @cached_property
    def records(self) -> tuple[Record, ...]:
        return tuple(self._source_of[key][1] for key in sorted(self._source_of))

    @cached_property
    def plan(self) -> dict[str, Cell] | None:
        """Planned cells of all directories, and the recorded ones of those without a plan; None where none has one."""
        if all(source.plan is None for source in self.sources):
            return None
        found: dict[str, Cell] = {}
        for source in self.sources:
            planned = {record.key: record.cell for record in source.records} if source.plan is None else source.plan
            found = {key: cell for key, cell in found.items() if key not in planned} | planned
        return found

    @property
    def faults(self) -> tuple[str, ...]:
        return tuple(self._named("faults"))

    @property
    def notes(self) -> tuple[str, ...]:
        repeated = sum(len(source.records) for source in self.sources) - len(self.records)
        told = [f"{repeated} cells are in several directories: their newest finished record counts"] if repeated else []
        return (*self._named("notes"), *told)

    def record_path(self, record: Record) -> Path:
        """The file that a record was read from."""
        return self._source_of[record.key][0].record_path(record)

    def samples(self, record: Record, evaluation: Evaluation) -> tuple[Sample, ...]:
        """Per-example rows of one evaluation of a record.

        Raises:
            UserError: the file cannot be used; it is named.
        """
        return self._source_of[record.key][0].samples(evaluation)

    def outcomes(self, record: Record, evaluation: Evaluation, reported: Headline) -> Outcomes:
        """Whether each example was answered rightly, and the confidence, as they are reported; a file is read once.

        Raises:
            UserError: the file cannot be used; it is named.
        """
        place = (record.key, evaluation.eval, reported)
        if place not in self._outcomes:
            source = self._source_of[record.key][0]
            self._outcomes[place] = (
                _published(source, evaluation)
                if reported == PUBLISHED and isinstance(source, LmEvalRun)
                else outcomes(source.samples(evaluation), reported, evaluation.samples)
            )
        return self._outcomes[place]

    @cached_property
    def _outcomes(self) -> dict[tuple[str, str, Headline], Outcomes]:
        return {}

    def name(self, key: str) -> str:
        """The file of a record, for messages; with the directory before it where there are several."""
        source, record = self._source_of[key]
        path = source.record_path(record)
        return str(path) if len(self.sources) > 1 else path.relative_to(source.directory).as_posix()

    def _named(self, what: str) -> Iterator[str]:
        """Lines of all directories, with the directory before them where there are several."""
        for source in self.sources:
            for line in getattr(source, what):
                yield f"{source.directory}: {line}" if len(self.sources) > 1 else line


def read_results(directories: Sequence[Path]) -> Results:
    """The records of runs, and the results that lm-eval wrote. A directory that is given twice counts once.

    Raises:
        UserError: a directory is none, or holds neither.
    """
    distinct = {directory.resolve(): directory for directory in reversed(directories)}
    return Results(tuple(map(_source, reversed(distinct.values()))))


def _source(directory: Path) -> Source:
    if not directory.is_dir():
        what = "is a file" if directory.exists() else "does not exist"
        raise UserError(f"{str(directory)!r} {what}: give the --out of `ia2-eval run`, or lm-eval's --output_path")
    if is_lm_eval_directory(directory):
        return read_lm_eval(directory)
    if is_mtbench_directory(directory):
        raise UserError(
            f"{str(directory)!r} holds answers or judgments of MT-Bench: use `ia2-eval leaderboard mtbench {directory}`"
        )
    try:
        return read_run(directory)
    except UserError as error:
        raise UserError(f"{error} Or lm-eval's --output_path, with its results_*.json.") from error


def is_mtbench_directory(directory: Path) -> bool:
    """Whether `ia2-eval mtbench` wrote it, and no run."""
    holds = [(directory / name).exists() for name in ("model_answer", "model_judgment")]
    return any(holds) and not ((directory / "records").exists() or (directory / PLAN).exists())


def _published(run: LmEvalRun, evaluation: Evaluation) -> Outcomes:
    """lm-eval's samples hold the published quantities themselves, not what they are computed from.

    Raises:
        UserError: they are absent.
    """
    pairs = run.published(evaluation)
    if pairs is None:
        raise UserError(f"{evaluation.samples}: the model did not tell what the published metrics need")
    confidence, correct = zip(*pairs, strict=True)
    plain = outcomes(run.samples(evaluation), STRICT_LABELS, evaluation.samples)
    return Outcomes(np.array(correct, dtype=bool), np.array(confidence, dtype=np.float64), plain.gold_sha256)
