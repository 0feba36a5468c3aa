"""Rows of lm-eval's samples files as the rows of a run; lm-eval writes log-probabilities and booleans as strings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from ia2_eval.benchmarks import get_benchmark
from ia2_eval.benchmarks.benchmark import Benchmark
from ia2_eval.frozen import one_line
from ia2_eval.leaderboard.results.read import Sample
from ia2_eval.protocol import Protocol
from ia2_eval.scoring.answers import ANSWER_FORMATS
from ia2_eval.scoring.bootstrap import mean_of
from ia2_eval.scoring.calibration import classwise_ece_of, ece_of
from ia2_eval.scoring.metrics import Measured
from ia2_eval.scoring.samples import LabelSample, generation_sample, label_sample

Pair = tuple[float, bool]


class Answers(NamedTuple):
    """What a model said to the queries of one task."""

    samples: tuple[Sample, ...]
    published: tuple[Pair, ...] | None
    """Published confidence and correctness of each; None where the model did not tell, and of generated texts."""


class _Document(BaseModel):
    model_config = ConfigDict(extra="ignore")

    answer: str
    choices: tuple[str, ...]
    gold: int


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore")

    doc_id: int
    doc: _Document
    arguments: dict[str, dict[str, object]]
    filtered_resps: tuple[Pair, ...] | tuple[str]
    ece: Pair | None = None
    ece_published: Pair | None = None

    @property
    def prompt(self) -> str:
        return str(self.arguments["gen_args_0"]["arg_0"])


def read_answers(path: Path, benchmark: Benchmark, protocol: Protocol, count: int) -> Answers:
    """The rows of `samples_<task>_<time>.jsonl` in the order of the documents, scored anew.

    Raises:
        OSError: it cannot be read.
        ValueError: a line is no such row; it is named. Or there are not `count` rows.
    """
    rows, samples = [], []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            row = _Row.model_validate_json(line)
            samples.append(_sample(row, benchmark, protocol))
        except ValidationError as error:
            raise ValueError(f"{path.name}, line {number}: {one_line(error)}") from error
        except (ValueError, KeyError, IndexError) as error:
            raise ValueError(f"{path.name}, line {number}: {error}") from error
        rows.append(row)
    if len({row.doc_id for row in rows}) != len(rows) or len(rows) != count:
        raise ValueError(f"{path.name}: {len(rows)} rows, but the results count {count} examples")
    order = sorted(range(count), key=lambda i: rows[i].doc_id)
    published = [rows[i].ece_published for i in order]
    told = [pair for pair in published if pair is not None]
    return Answers(tuple(samples[i] for i in order), tuple(told) if len(told) == count else None)


def _sample(row: _Row, benchmark: Benchmark, protocol: Protocol) -> Sample:
    if benchmark.labels is not None:
        if row.doc.choices != benchmark.labels:
            raise ValueError(
                f"labels {row.doc.choices} instead of {benchmark.labels}: another version of the benchmark"
            )
        answers = [answer for answer in row.filtered_resps if isinstance(answer, tuple)]
        return label_sample(row.prompt, answers, benchmark.labels, row.doc.gold)
    assert benchmark.answer_format is not None
    answer_format = ANSWER_FORMATS[benchmark.answer_format]
    text = generation_sample(row.prompt, str(row.filtered_resps[0]), row.doc.answer, answer_format, protocol)
    # The tokens are not in the file, so the confidence is taken over, unless it is that of an answer read otherwise.
    told = row.ece is not None and row.ece[1] == text.correct
    return text.model_copy(update={"confidence": row.ece[0]}) if row.ece and told else text


class _Measured(Measured):
    def add_calibration(self, name: str, confidence: Sequence[float], correct: Sequence[bool]) -> None:
        """Equal-width ECE without netcal, which imports torch; equal but for rounding."""
        self.add(name, ece_of(confidence, correct), len(correct), error=True)


def _add_labels(found: Measured, samples: Sequence[LabelSample], labels: Sequence[str]) -> None:
    n = len(samples)
    predictions = [sample.predicted(labels) for sample in samples]
    gold = [labels.index(sample.gold) for sample in samples]
    classwise = classwise_ece_of([prediction.probabilities for prediction in predictions], gold)
    found.add("acc_full_vocab", mean_of([sample.correct_full_vocab for sample in samples]), n)
    found.add("ece_classwise", classwise, n, error=True)
    found.add("brier", mean_of([prediction.brier for prediction in predictions]), n)
    found.add("nll", mean_of([prediction.nll for prediction in predictions]), n)


def measured(answers: Answers, benchmark: str) -> Measured:
    """What has an interval, of rows; and of how many texts the calibration is."""
    found, samples, labels = _Measured(), answers.samples, get_benchmark(benchmark).labels
    n = len(samples)
    found.add("acc", mean_of([sample.correct for sample in samples]), n)
    known = [(sample.confidence, sample.correct) for sample in samples if sample.confidence is not None]
    if known:
        found.add_confidence(*zip(*known, strict=True))
    if labels is not None:
        _add_labels(found, [sample for sample in samples if isinstance(sample, LabelSample)], labels)
    elif known:
        found.metrics["ece_n"] = float(len(known))
        found.add("brier", mean_of([(confidence - correct) ** 2 for confidence, correct in known]), len(known))
    if answers.published is not None:
        confidence, correct = zip(*answers.published, strict=True)
        found.add("acc_published", mean_of(correct), n)
        found.add("ece_published", ece_of(confidence, correct, equal_mass=True), n, error=True)
    return found
