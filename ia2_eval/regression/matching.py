"""Which results of a reference and of a rerun are of the same thing, and why others cannot be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ia2_eval.benchmarks import get_benchmark
from ia2_eval.errors import UserError
from ia2_eval.experiments.record import Evaluation, Record
from ia2_eval.leaderboard.results.groups import evaluation_on
from ia2_eval.leaderboard.results.read import Run, Sample
from ia2_eval.leaderboard.style import Column, column_title
from ia2_eval.regression.check import Verdict
from ia2_eval.regression.metrics import other_version
from ia2_eval.regression.reference import identity


class Incomparable(NamedTuple):
    verdict: Verdict
    reason: str


@dataclass(frozen=True)
class Pair:
    """The same evaluation of the same cell, in the reference and in the rerun: rows of the same prompts, one by one."""

    reference: Record
    rerun: Record
    eval: str
    before: tuple[Sample, ...]
    after: tuple[Sample, ...]


def by_identity(run: Run) -> dict[str, Record]:
    return {identity(record.cell): record for record in run.records}


def match(
    reference: Run, record: Record, benchmark: str, rerun: Run, found: Mapping[str, Record], retrained: bool
) -> Pair | Incomparable:
    """The pair of one evaluation of a reference record, or why there is none.

    Args:
        reference: where the record is from.
        record: of the reference.
        benchmark: that it was evaluated on.
        rerun: what to compare with.
        found: its records, `by_identity`.
        retrained: whether the rerun trained it, so that its training examples matter.
    """
    other = found.get(identity(record.cell))
    if other is None:
        return Incomparable("cannot tell", "no such cell was run (another recipe?)")
    if other.status == "failed":
        return Incomparable("regression", f"the cell failed: {_last_line(other)}")
    if other.cell.version != record.cell.version:
        return Incomparable("cannot tell", f"cells of version {other.cell.version} instead of {record.cell.version}")
    if other.cell.base.fingerprint != record.cell.base.fingerprint:
        return Incomparable("cannot tell", f"another base model: its fingerprint is {other.cell.base.fingerprint!r}")
    mine, theirs = evaluation_on(record, benchmark), evaluation_on(other, benchmark)
    assert mine is not None
    if theirs is None:
        return Incomparable("regression", f"the cell was not evaluated on {benchmark}")
    if mine.scoring_version != theirs.scoring_version:
        return Incomparable("cannot tell", other_version(mine.scoring_version, theirs.scoring_version))
    before, after = reference.samples(mine), _samples(rerun, theirs)
    if isinstance(after, Incomparable):
        return after
    same_data = record.cell.data == other.cell.data
    prompts = [row.prompt_sha256 for row in before], [row.prompt_sha256 for row in after]
    if prompts[0] != prompts[1]:
        return _other_prompts(same_data, *prompts)
    golds = sum(a.gold != b.gold for a, b in zip(before, after, strict=True))
    if golds:
        return Incomparable(
            "regression", f"{golds} of {len(before)} prompts are the same and have another right answer: a label map?"
        )
    if not same_data and retrained:
        return Incomparable("cannot tell", "the benchmark's data are of another version: training examples may differ")
    return Pair(record, other, benchmark, before, after)


def _other_prompts(same_data: bool, before: list[str], after: list[str]) -> Incomparable:
    other = len(before) - len(set(before) & set(after))
    if same_data:
        return Incomparable("regression", f"{other} of {len(before)} prompts are not the same, though the data are")
    return Incomparable("cannot tell", f"another version of the benchmark: {other} of {len(before)} prompts differ")


def _samples(run: Run, evaluation: Evaluation) -> tuple[Sample, ...] | Incomparable:
    try:
        return run.samples(evaluation)
    except UserError as error:
        return Incomparable("regression", str(error))


def _last_line(record: Record) -> str:
    return ((record.error or "").strip().splitlines() or ["no error was recorded"])[-1].strip()


def place(record: Record, benchmark: str, several: bool) -> str:
    """Such as `Time N=8 IA2 → SFT`, without the seed.

    Args:
        record: of the reference.
        benchmark: that it was evaluated on.
        several: whether adapter and learning rate are named: there are several.
    """
    cell = record.cell
    source, title = get_benchmark(cell.source).title, get_benchmark(benchmark).title
    return " ".join(
        filter(
            None,
            [
                source + (f" → {title}" if benchmark != cell.source else ""),
                "" if cell.n is None else f"N={cell.n}",
                column_title(Column(cell.method, cell.variant)),
                cell.adapter.label if several and cell.adapter else "",
                # Under `paper` the weight is chosen like the learning rate, so that the column's title lacks it.
                f"w={cell.sft_weight}" if cell.sft_weight is not None and cell.protocol == "paper" else "",
                f"lr {cell.learning_rate:g}" if several and cell.learning_rate is not None else "",
            ],
        )
    )
