"""Compares a rerun with a reference: bit by bit where that is to be expected, by intervals elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ia2_eval.experiments.record import Record
from ia2_eval.leaderboard.results.read import Run
from ia2_eval.regression.check import SEVERITY, Check, Verdict
from ia2_eval.regression.exact import same_bits
from ia2_eval.regression.matching import Incomparable, Pair, by_identity, match, place
from ia2_eval.regression.metrics import scoring_checks
from ia2_eval.regression.noise import within_noise
from ia2_eval.regression.pairs import trainings
from ia2_eval.regression.reference import Reference
from ia2_eval.regression.training import training_changes

FALSE_ALARMS = 0.01
"""Chance that a gate without any true change finds one by its intervals; shared among its checks (Bonferroni)."""


class Reruns(NamedTuple):
    """Runs of the reference's recipe. None: that part was not asked for."""

    stored: Run | None  # the reference's adapters, evaluated again
    retrained: Run | None  # everything, from the base model on


@dataclass(frozen=True)
class Gate:
    """How results are compared."""

    exact: bool  # whether equal bits are expected
    margin: float = 0.05  # harm, in accuracy or ECE, that must be excluded for a check to pass


class _Subject(NamedTuple):
    """What one check is about: the same cell over its seeds, on one benchmark."""

    kind: str
    name: str
    pairs: list[Pair]
    incomparable: list[Incomparable]


def checks(reference: Reference, reruns: Reruns, gate: Gate) -> list[Check]:
    """One for every method, adapter, source, N and benchmark of the reference, over its seeds; worst first. Where bits
    may differ, scoring is looked at for itself, on the rows of the reference."""
    subjects = list(_subjects(reference, reruns))
    level = 1 - FALSE_ALARMS / (2 * max(1, len(subjects)))  # accuracy and ECE of each
    found = [] if gate.exact else list(scoring_checks(reference))
    found += [check for subject in subjects for check in _checks(subject, gate, level)]
    return sorted(found, key=lambda check: SEVERITY.index(check.verdict))


def _subjects(reference: Reference, reruns: Reruns) -> Iterator[_Subject]:
    records = sorted(reference.run.records, key=lambda record: (record.cell.n or 0, record.cell.seed or 0))
    several = len({(record.cell.adapter, record.cell.learning_rate) for record in records if record.cell.trained}) > 1
    stored = [record for record in records if record.key in reference.manifest.stored]
    parts: list[tuple[str, Sequence[Record], Run | None]] = [
        ("base", [record for record in records if not record.cell.trained], reruns.retrained),
        ("stored adapter", stored, reruns.stored),
        ("retrained", [record for record in records if record.cell.trained], reruns.retrained),
    ]
    for kind, of_kind, rerun in parts:
        if rerun is None:
            continue
        found = by_identity(rerun)
        subjects: dict[str, _Subject] = {}
        for record in of_kind:
            for evaluation in record.evaluations:
                name = place(record, evaluation.eval, several)
                subject = subjects.setdefault(name, _Subject(kind, name, [], []))
                pair = match(reference.run, record, evaluation.eval, rerun, found, kind == "retrained")
                if isinstance(pair, Incomparable):
                    subject.incomparable.append(pair)
                else:
                    subject.pairs.append(pair)
        yield from subjects.values()


def _checks(subject: _Subject, gate: Gate, level: float) -> Iterator[Check]:
    kind, name, pairs, incomparable = subject
    retrained = kind == "retrained"
    if pairs and retrained and not gate.exact:
        trained = [trainings(pair) for pair in pairs]
        yield Check("training", name, *training_changes(*zip(*trained, strict=True)))
    compared: tuple[Verdict, str] = ("pass", "")
    if pairs:
        compared = same_bits(pairs, retrained) if gate.exact else within_noise(pairs, retrained, gate.margin, level)
    if not incomparable or (pairs and compared[0] == "regression"):  # of some seeds, which the others do not excuse
        yield Check(kind, name, *compared)
        return
    worst = max(incomparable, key=lambda each: each.verdict == "regression")
    several = f" ({len(incomparable)} of {len(incomparable) + len(pairs)} seeds)" if pairs or incomparable[1:] else ""
    yield Check(kind, name, worst.verdict, worst.reason + several)
