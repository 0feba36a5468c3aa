"""Computes the metrics of stored records anew from their rows: without a model, and without the benchmark's data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel
from rich.console import Console
from rich.progress import track

from ia2_eval.benchmarks import get_benchmark
from ia2_eval.errors import UserError
from ia2_eval.experiments.ownership.workplace import working_in
from ia2_eval.experiments.record import Evaluation, Record, parse_record
from ia2_eval.experiments.rescore_report import RescoreReport
from ia2_eval.experiments.store import Store
from ia2_eval.frozen import one_line
from ia2_eval.scoring.answers import ANSWER_FORMATS
from ia2_eval.scoring.metrics import Measured, measure_generations, measure_labels
from ia2_eval.scoring.samples import GenerationSample, LabelSample
from ia2_eval.scoring.version import SCORING_VERSION


class Rescored(NamedTuple):
    """The rows of one evaluation, scored anew."""

    rewritten: dict[str, Sequence[BaseModel]]
    """Files whose rows are others now, by their paths in the run's directory."""
    measured: Measured
    measure_stored: Callable[[], Measured]
    """The same metrics, of the rows as they are stored."""


def rescore_run(directory: Path, console: Console) -> int:
    """Rescore every finished record of a run; gives the exit status: 1 when a file could not be used, else 0.

    Rows hold what the model said. Whatever is derived from that, row by row and in the record, is computed anew by the
    functions that a run itself calls, and written where it is not as it was; the record then says which version of
    scoring gave it. Notes, numbers of examples and provenance stay. So does an evaluation whose file cannot be used.

    A recorded metric that the rows do not yield now is dropped if it became undefined, as the calibration error of
    answers of which none can be read any more. If the rows as they are stored do not yield it either, for they lack
    what it needs or it is none of this version's, it is kept with its interval, and reported.

    Raises:
        UserError: there are no records, they cannot be written, or a run is going on in the directory.
    """
    paths = sorted((directory / "records").glob("*.json"))
    if not paths:
        raise UserError(f"{str(directory)!r} holds no records/*.json: give the --out of a run")
    report = RescoreReport()
    with working_in(Store(directory), "rescore"):
        for path in track(paths, "rescoring", console=console, transient=True, disable=not console.is_terminal):
            _rescore_file(Store(directory), path, report)
    report.print(console, directory)
    return 1 if report.faults else 0


def _rescore_file(store: Store, path: Path, report: RescoreReport) -> None:
    """Rescore the record in a file; write what is not as it was."""
    place = store.relative(path)
    try:
        record = parse_record(path.read_bytes(), path.stem)
    except (OSError, ValueError) as error:
        report.faults.append(f"{place}: {_said(error, store)}")
        return
    if record.status == "failed":
        report.failed += 1
        return
    evaluations: list[Evaluation] = []
    rewritten: dict[str, Sequence[BaseModel]] = {}
    faults = len(report.faults)
    for evaluation in record.evaluations:
        try:
            rescored = rescore(store, record, evaluation)
        except (OSError, ValueError, UserError) as error:
            report.faults.append(f"{place}, {evaluation.eval}: {_said(error, store)}")
            evaluations.append(evaluation)
            continue
        rewritten |= rescored.rewritten
        evaluations.append(_updated(evaluation, rescored, report))
    updated = record.model_copy(update={"evaluations": tuple(evaluations)})
    report.compare(record, updated, whole=len(report.faults) == faults)
    _write(store, record, updated, rewritten)
    report.rewritten += len(rewritten)


def _write(store: Store, old: Record, new: Record, rows: dict[str, Sequence[BaseModel]]) -> None:
    """The record first: while rows are as they were, what they yielded then can be told from what is kept. Rescoring
    once more writes the rows that an interruption left behind."""
    try:
        if new.model_dump_json() != old.model_dump_json():  # NaN is equal to NaN here
            store.write_record(new)
        for path, samples in rows.items():
            store.write_rows(path, samples)
    except OSError as error:
        raise UserError(f"cannot write to {str(store.directory)!r}: {error}") from error


def rescore(store: Store, record: Record, evaluation: Evaluation) -> Rescored:
    """The rows and the metrics of one evaluation, scored anew; nothing is written.

    Raises:
        OSError, ValueError, UserError: a file cannot be used, or it holds what cannot be scored.
    """
    _require_known("scoring", evaluation.scoring_version, SCORING_VERSION)
    benchmark, protocol = get_benchmark(evaluation.eval), record.cell.protocol
    if benchmark.labels is None:
        assert benchmark.answer_format
        answer_format = ANSWER_FORMATS[benchmark.answer_format]
        texts = store.read_rows(evaluation.samples, GenerationSample, evaluation.n)
        again = [text.rescored(answer_format, protocol) for text in texts]
        return Rescored(
            {evaluation.samples: again} if again != texts else {},
            measure_generations(again, answer_format, protocol),
            partial(measure_generations, texts, answer_format, protocol),
        )
    labels, source_labels = benchmark.labels, get_benchmark(record.cell.source).labels or ()
    rows = store.read_rows(evaluation.samples, LabelSample, evaluation.n)
    dev = store.read_rows(evaluation.dev_samples, LabelSample) if evaluation.dev_samples else []
    rows_again, dev_again = [row.rescored(labels) for row in rows], [row.rescored(source_labels) for row in dev]
    rewritten: dict[str, Sequence[BaseModel]] = {evaluation.samples: rows_again} if rows_again != rows else {}
    if evaluation.dev_samples and dev_again != dev:
        rewritten[evaluation.dev_samples] = dev_again
    return Rescored(
        rewritten,
        measure_labels(rows_again, labels, dev_again),
        partial(measure_labels, rows, labels, dev),
    )


def _updated(evaluation: Evaluation, rescored: Rescored, report: RescoreReport) -> Evaluation:
    """The evaluation with its new metrics and those of the old ones that only the record knows."""
    metrics, intervals = dict(rescored.measured.metrics), dict(rescored.measured.intervals)
    if missing := evaluation.metrics.keys() - metrics.keys():
        kept = missing - rescored.measure_stored().metrics.keys()
        metrics |= {name: value for name, value in evaluation.metrics.items() if name in kept}
        intervals |= {name: ends for name, ends in evaluation.intervals.items() if name in kept}
        report.kept.update(kept)
    return evaluation.model_copy(
        update={"metrics": metrics, "intervals": intervals, "scoring_version": SCORING_VERSION}
    )


def _said(error: Exception, store: Store) -> str:
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{store.relative(Path(error.filename))}: {error.strerror}"
    return one_line(error)


def _require_known(what: str, found: int, known: int) -> None:
    if found > known:
        raise ValueError(f"{what} version {found}, this ia2-eval knows versions up to {known}: update ia2-eval")
