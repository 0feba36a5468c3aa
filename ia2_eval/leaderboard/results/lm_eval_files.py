"""Results that lm-eval wrote (0.4.13: `results_<time>.json`, `samples_<task>_<time>.jsonl`), as records."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ia2_eval.benchmarks import get_benchmark
from ia2_eval.experiments.cell import Cell
from ia2_eval.experiments.record import Evaluation, Provenance, Record, Training
from ia2_eval.frozen import one_line
from ia2_eval.leaderboard.results.lm_eval_cells import Found, by_cell
from ia2_eval.leaderboard.results.lm_eval_content import LmEvalResults, TaskResult, read_content
from ia2_eval.leaderboard.results.lm_eval_samples import Answers, Pair, measured, read_answers
from ia2_eval.leaderboard.results.lm_eval_subject import names_of_adapters, subject_of
from ia2_eval.leaderboard.results.read import PLAN, Sample
from ia2_eval.lm.base_model import is_path
from ia2_eval.scoring.version import SCORING_VERSION

NAME = re.compile(r"(?:results_(?P<time>.+)|.+_(?P<stamp>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?))\.json")
"""`--output_path DIR` gives the former, `--output_path FILE.json` the latter."""
HIDDEN = re.compile(r"\.(?!\.?__).*")
"""Folders that are not searched; `..__model` and `.__model` are lm-eval's for the models `../model` and `./model`."""
DEPTH = 3
"""Levels of folders that are searched: lm-eval makes one per model."""
PUBLISHED = ("acc_published", "ece_published", "entropy_published")


def is_lm_eval_directory(directory: Path) -> bool:
    """Whether lm-eval wrote its results here, or in folders here. A run's directory is none, whatever lies in it."""
    return next(result_files(directory), None) is not None


def result_files(directory: Path) -> Iterator[Path]:
    """Files of results by their names, folder by folder; not those in the directories of runs."""
    for entries in _folders(directory):
        if not _of_run(entries):
            yield from (Path(entry.path) for entry in entries if NAME.fullmatch(entry.name) and entry.is_file())


def _folders(directory: Path, depth: int = DEPTH) -> Iterator[list[os.DirEntry[str]]]:
    """What lies in the directory, then in each of its folders; nothing from within a run's directory."""
    with os.scandir(directory) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    yield entries
    for entry in entries if depth and not _of_run(entries) else ():
        if not HIDDEN.match(entry.name) and entry.is_dir(follow_symlinks=False):
            yield from _folders(Path(entry.path), depth - 1)


def _of_run(entries: Iterable[os.DirEntry[str]]) -> bool:
    return any(entry.name in ("records", PLAN) for entry in entries)


@dataclass(frozen=True)
class LmEvalRun:
    """A directory that lm-eval wrote. Of several results of a task under one setting, the newest counts."""

    directory: Path
    records: tuple[Record, ...]
    faults: tuple[str, ...]
    notes: tuple[str, ...]
    plan: None = None
    paths: Mapping[str, Path] = field(default_factory=dict)
    """By the key of a record the newest file of results that it is of."""
    answers: Mapping[str, Answers] = field(default_factory=dict)
    """By `Evaluation.samples`."""

    def record_path(self, record: Record) -> Path:
        """The newest file of results that the record is of."""
        return self.paths[record.key]

    def samples(self, evaluation: Evaluation) -> tuple[Sample, ...]:
        """Per-example rows of one evaluation.

        Raises:
            KeyError: it has none: `evaluation.samples` is empty.
        """
        return self.answers[evaluation.samples].samples

    def published(self, evaluation: Evaluation) -> tuple[Pair, ...] | None:
        """Published confidence and correctness of each example; None where the model did not tell.

        Raises:
            KeyError: it has no samples: `evaluation.samples` is empty.
        """
        return self.answers[evaluation.samples].published


def read_lm_eval(directory: Path) -> LmEvalRun:
    """All results below a directory. Files that cannot be used, and tasks that are left out, are named."""
    contents: dict[Path, LmEvalResults] = {}
    faults = []
    for path in result_files(directory):
        try:
            contents[path] = read_content(path)
            list(contents[path].tasks())
        except (OSError, ValueError) as error:
            faults.append(f"{path.relative_to(directory)}: {one_line(error)}")
            contents.pop(path, None)
    faults += _failures(directory)
    names = names_of_adapters(contents)
    left_out: dict[str, dict[str, None]] = defaultdict(dict)  # reason -> names, in order
    found = []
    for path, content in sorted(contents.items(), key=lambda item: (item[1].date, item[0])):
        subject = subject_of(content, names.get(path))
        for result in content.tasks():
            if isinstance(result, TaskResult):
                found.append(Found(subject, result, content, path))
            else:
                left_out[result[1]][result[0]] = None
    answers: dict[str, Answers] = {}
    paths: dict[str, Path] = {}
    records = []
    cells = by_cell(found)
    for cell, of_cell in cells:
        evaluations = []
        for each in of_cell.values():
            evaluation, fault = _evaluation(directory, each, cell.source, answers)
            evaluations.append(evaluation)
            faults += [fault] if fault else []
        newest = max(of_cell.values(), key=lambda each: each.content.date)
        records.append(_record(cell, newest, evaluations))
        paths[cell.key] = newest.path
    records.sort(key=lambda record: record.provenance.created)
    notes = [f"left out, {reason}: {', '.join(tasks)}" for reason, tasks in left_out.items()]
    notes += [*_superseded(directory, found, cells), *_assumptions(found), *_without_samples(records)]
    notes += _nested_runs(directory)
    return LmEvalRun(directory, tuple(records), tuple(dict.fromkeys(faults)), tuple(notes), None, paths, answers)


def _failures(directory: Path) -> Iterator[str]:
    """What `ia2-eval evaluate` says of adapters whose last evaluation failed."""
    for path in sorted(directory.glob("*/failure.txt")):
        lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["it failed"]
        yield f"{path.relative_to(directory)}: {lines[-1]}"


def _superseded(
    directory: Path, found: Iterable[Found], cells: Iterable[tuple[Cell, dict[str, Found]]]
) -> Iterator[str]:
    """How many results do not count, for a newer one is of the same."""
    counted = {(each.path, each.result.task) for _, of_cell in cells for each in of_cell.values()}
    older = [each for each in found if (each.path, each.result.task) not in counted]
    if older:
        first = older[0].path.relative_to(directory)
        yield f"{len(older)} results of tasks that have newer ones of the same setting are left out (first: {first})"


def _nested_runs(directory: Path) -> Iterator[str]:
    """What is not read, though it lies there."""
    runs = [str(Path(entries[0].path).parent) for entries in _folders(directory) if _of_run(entries)]
    if runs:
        yield f"runs among lm-eval's results are left out, give their own directories: {', '.join(runs)}"


def _assumptions(found: Iterable[Found]) -> Iterator[str]:
    """What is not in the files and had to be taken for something."""
    bases = dict.fromkeys(each.subject.base.model for each in found if not each.subject.dtype_known)
    if bases:
        yield f"the precision of {', '.join(bases)} is not in lm-eval's files: taken for float32"
    local = dict.fromkeys(
        each.subject.base.model
        for each in found
        if not each.subject.base.fingerprint and is_path(each.subject.base.model)
    )
    if local:
        yield (
            f"which files {', '.join(local)} had is not in lm-eval's files, so its results stand apart from those of "
            "runs: `ia2-eval lm-eval run --model ia2-hf` and `ia2-eval evaluate` tell"
        )
    adapters = dict.fromkeys(each.subject.adapter for each in found if each.subject.adapter and not each.of_run)
    if adapters:
        yield (
            f"what these adapters were trained on is not known, each is a column without N: "
            f"{', '.join(map(str, adapters))}"
        )


def _without_samples(records: Iterable[Record]) -> Iterator[str]:
    lacking = [each.eval for record in records for each in record.evaluations if not each.samples]
    if lacking:
        yield (
            f"{len(lacking)} evaluations ({', '.join(dict.fromkeys(lacking))}) have no samples, so nothing of single "
            "examples: lm-eval writes them with --log_samples"
        )


def _evaluation(
    directory: Path, found: Found, source: str, answers: dict[str, Answers]
) -> tuple[Evaluation, str | None]:
    """An evaluation, of the samples where there are any; and the fault of samples that cannot be used."""
    result, path = found.result, samples_path(found)
    name = path.relative_to(directory).as_posix()
    metrics, intervals, fault = dict(result.metrics), {}, None
    if name not in answers and path.exists():
        try:
            answers[name] = read_answers(path, get_benchmark(result.benchmark), result.protocol, result.n)
        except OSError as error:
            fault = f"{name}: cannot be read ({error})"
        except ValueError as error:
            fault = f"{name.removesuffix(path.name)}{error}"
    if name in answers:
        of_samples = measured(answers[name], result.benchmark)
        if answers[name].published is None:
            metrics = {metric: value for metric, value in metrics.items() if metric not in PUBLISHED}
        metrics |= of_samples.metrics
        intervals = of_samples.intervals
    evaluation = Evaluation(
        eval=result.benchmark,
        ood=result.benchmark != source,
        n=result.n,
        metrics=metrics,
        intervals=intervals,
        samples=name if name in answers else "",
        scoring_version=SCORING_VERSION,
    )
    return evaluation, fault


def samples_path(found: Found) -> Path:
    """Where lm-eval writes the samples of a result, if it does."""
    name = NAME.fullmatch(found.path.name)
    assert name is not None
    return found.path.with_name(f"samples_{found.result.task}_{name['time'] or name['stamp']}.jsonl")


def _record(cell: Cell, newest: Found, evaluations: list[Evaluation]) -> Record:
    content, origin = newest.content, newest.subject.origin
    training: Training | None = origin.training if origin and newest.of_run else None
    versions = {"lm_eval": content.lm_eval_version, "transformers": content.transformers_version}
    return Record(
        key=cell.key,
        cell=cell,
        status="ok",
        provenance=Provenance(
            created=content.created,
            versions={name: version for name, version in versions.items() if version},
            git_commit=content.git_hash,
            device=content.config.device or "",
            wall_seconds=content.total_evaluation_time_seconds or 0.0,
        ),
        training=training,
        evaluations=tuple(evaluations),
    )
