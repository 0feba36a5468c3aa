"""The numbers of arXiv 2509.22621 beside ours."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import PurePath

from ia2_eval.benchmarks import get_benchmark
from ia2_eval.errors import UserError
from ia2_eval.leaderboard.published.compare import PublishedRow, Quantity, compare
from ia2_eval.leaderboard.published.entries import Entry, Place, entry_at, published_entries
from ia2_eval.leaderboard.published.read import published_results
from ia2_eval.leaderboard.published.tables import published_tables
from ia2_eval.leaderboard.results.aggregate import Row, training_sizes
from ia2_eval.leaderboard.results.groups import Group
from ia2_eval.leaderboard.results.headline import headline
from ia2_eval.leaderboard.results.learning_rate import headline_selection
from ia2_eval.leaderboard.tables.table import Table


@dataclass(frozen=True)
class Beside:
    """What `--published` adds to a board."""

    tables: tuple[Table, ...]
    rows: tuple[PublishedRow, ...]
    notes: tuple[str, ...]
    """What could not be compared."""


def beside_published(groups: Sequence[Group], rows: Sequence[Row], across_protocols: bool = False) -> Beside:
    """Each of our reported numbers that has a published counterpart, with the difference.

    Args:
        groups: of the board.
        rows: its rows.
        across_protocols: whether results under `strict` are compared too, although the published ones are `paper`.

    Raises:
        UserError: nothing can be compared; the reason is given.
    """
    board = _Board(groups, rows, published_entries(published_results()))
    bases = sorted({place.base for place in board.entries})
    published = [group for group in groups if board.models.get(group.base) in bases]
    others = sorted({group.base for group in groups} - {group.base for group in published})
    if not published:
        raise UserError(
            f"--published: there are no published numbers for {', '.join(others) or 'an empty board'}. "
            f"There are for {', '.join(bases)}: a base is found by the last part of its name"
        )
    strict = [group for group in published if group.protocol == "strict"]
    wanted = [group for group in published if across_protocols or group.protocol == "paper"]
    left_out = 0 if across_protocols else sum(row.ours is not None for row in board.compared(strict))
    found = tuple(board.compared(wanted))
    if all(row.ours is None for row in found):
        raise UserError(f"--published: nothing to compare: {_reason(published, left_out)}")
    notes = []
    if others:
        notes.append(f"no published numbers for {', '.join(others)}; there are for {', '.join(bases)}")
    if left_out:
        notes.append(
            f"{left_out} numbers under strict are not beside the published ones, which are under paper: "
            "--across-protocols compares them and says so"
        )
    if unmatched := board.unmatched(wanted):
        notes.append(
            f"{unmatched} results have no published counterpart: the paper's tables lack their N, evaluation set, "
            "adapter, method or variant"
        )
    return Beside(tuple(published_tables(groups, found)), found, tuple(notes))


def to_csv(rows: Sequence[PublishedRow]) -> str:
    """CSV with a header. Numbers in full precision; None is an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(PublishedRow)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()


@dataclass(frozen=True)
class _Board:
    groups: Sequence[Group]
    rows: Sequence[Row]
    entries: Mapping[Place, Entry]

    @cached_property
    def models(self) -> dict[str, str]:
        """Label of a base -> last part of the model's name; of bases with a finished cell."""
        return {
            group.base: PurePath(record.cell.base.model).name for group in self.groups for record in group.records[:1]
        }

    @cached_property
    def ours(self) -> dict[tuple[object, ...], Row]:
        return {
            (
                *(row.base, row.adapter, row.protocol, row.source, row.method, row.variant),
                *(row.N, row.eval, row.metric, row.selection),
            ): row
            for row in self.rows
        }

    def compared(self, groups: Iterable[Group]) -> Iterator[PublishedRow]:
        """Everything of these groups that has a published counterpart."""
        for group in groups:
            for benchmark, size, entry in self._places(group):
                if entry is None:
                    continue
                single_token = get_benchmark(benchmark).single_token
                # Under `strict`, too, the published quantities are taken where its results have them.
                reported = headline("paper" if group.published else group.protocol, single_token, group.published)
                wished = headline("paper", single_token, published=True)
                metrics: dict[Quantity, tuple[str, str]] = {
                    "accuracy": (reported.accuracy, wished.accuracy),
                    "ECE": (reported.calibration, wished.calibration),
                }
                selection = headline_selection(group.protocol, group.trained)
                for quantity, (metric, published_metric) in metrics.items():
                    row = self.ours.get((*_identity(group), size, benchmark, metric, selection))
                    found = compare(entry, quantity, metric, published_metric, group, benchmark, size, row)
                    if found is not None:
                        yield found

    def unmatched(self, groups: Iterable[Group]) -> int:
        """Results of these groups, each N and evaluation set counted, without one."""
        there = {place[:8] for place in self.ours}
        return sum(
            entry is None and (*_identity(group), size, benchmark) in there
            for group in groups
            for benchmark, size, entry in self._places(group)
        )

    def _places(self, group: Group) -> Iterator[tuple[str, int | None, Entry | None]]:
        """Evaluation set, N and published entry of each of a group's results."""
        model, source = self.models.get(group.base, ""), get_benchmark(group.source).title
        for benchmark in group.evals:
            title = get_benchmark(benchmark).title
            for size in training_sizes(self.groups, group):
                place = Place(model, group.adapter, group.variant, group.n or 0, source, title, group.method)
                yield benchmark, size, entry_at(self.entries, place)


def _identity(group: Group) -> tuple[str, str, str, str, str, str]:
    return group.base, group.adapter, group.protocol, group.source, group.method, group.variant


def _reason(published: Sequence[Group], left_out: int) -> str:
    if left_out:
        return (
            f"{left_out} numbers have a published counterpart, but are under strict, and the published ones are under "
            "paper. Give --across-protocols to see them all the same, or run the recipe with protocol: paper"
        )
    places = dict.fromkeys(group.place for group in published)
    shown = "; ".join([*places][:3]) + (f"; {len(places) - 3} more" if len(places) > 3 else "")
    return f"no N, evaluation set, adapter and method of the paper's tables has finished here: {shown}"
