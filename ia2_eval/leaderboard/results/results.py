"""All that is reported together: the records of any number of directories."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.record import Evaluation, Record
from ia2_eval.leaderboard.results.headline import Confidence
from ia2_eval.leaderboard.results.lm_eval_files import is_lm_eval_directory, read_lm_eval
from ia2_eval.leaderboard.results.outcomes import Outcomes, outcomes
from ia2_eval.leaderboard.results.read import Sample, read_run


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

    def outcomes(self, record: Record, evaluation: Evaluation, kind: Confidence) -> Outcomes:
        """Whether each example was answered rightly, and the confidence of that kind; a file is read once.

        Raises:
            UserError: the file cannot be used; it is named.
        """
        place = (record.key, evaluation.eval, kind)
        if place not in self._outcomes:
            self._outcomes[place] = outcomes(self.samples(record, evaluation), kind, evaluation.samples)
        return self._outcomes[place]

    @cached_property
    def _outcomes(self) -> dict[tuple[str, str, Confidence], Outcomes]:
        return {}

    def _named(self, what: str) -> Iterator[str]:
        """Lines of all directories, with the directory before them where there are several."""
        for source in self.sources:
            for line in getattr(source, what):
                yield f"{source.directory}: {line}" if len(self.sources) > 1 else line


def read_results(directories: Sequence[Path]) -> Results:
    """The records of runs, and the results that lm-eval wrote.

    Raises:
        UserError: a directory holds neither.
    """
    return Results(tuple(map(_source, directories)))


def _source(directory: Path) -> Source:
    return read_lm_eval(directory) if is_lm_eval_directory(directory) else read_run(directory)
