"""Which models are compared with which teacher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ia2_eval.analyses.reported import reported_runs
from ia2_eval.experiments.record import Record
from ia2_eval.leaderboard.results.groups import Group
from ia2_eval.lm.base_model import Base
from ia2_eval.protocol import Protocol


class Place(NamedTuple):
    """What decides the teacher."""

    base: Base
    base_label: str
    protocol: Protocol
    source: str
    n: int
    seed: int
    tokens: int
    """Most tokens of a response."""

    @property
    def label(self) -> str:
        return f"{self.base_label} · {self.source} N={self.n} seed {self.seed} ({self.protocol})"


class Student(NamedTuple):
    """A model that is compared with the teacher."""

    record: Record | None
    """None for the base without a record of its own."""
    adapter: str
    """Empty for the base."""
    evals: tuple[str, ...]
    published: bool
    """As of its `Group`, so that what is reported of it is what the leaderboard reports."""


def students_by_place(groups: Sequence[Group], out_of_distribution: bool) -> dict[Place, list[Student]]:
    """The base without an adapter (`no_icl`), and every reported training run."""
    places: dict[Place, list[Student]] = {}
    bases: dict[tuple[str, str], Base] = {}  # the same files may have been found in several places
    for group, candidate, evals in reported_runs(groups):
        wanted = tuple(name for name in evals if out_of_distribution or name == group.source)
        for record in group.at(candidate) if wanted else ():
            cell = record.cell
            assert cell.n and cell.seed is not None and cell.target_tokens  # it is a trained one
            base = bases.setdefault((cell.base.fingerprint, cell.base.dtype), cell.base)
            place = Place(base, group.base, cell.protocol, cell.source, cell.n, cell.seed, cell.target_tokens)
            places.setdefault(place, []).append(Student(record, group.adapter, wanted, group.published))
    untrained = {(g.base, g.protocol, g.source): g.records[0] for g in groups if g.method == "no_icl" and g.records}
    for place, students in places.items():
        evals = tuple(dict.fromkeys(name for student in students for name in student.evals))
        of_base = untrained.get((place.base_label, place.protocol, place.source))
        students.insert(0, Student(of_base, "", evals, students[0].published))  # alike for all of a base and protocol
    return places
