"""What the rows of the page have in common: they name it by its place."""

from __future__ import annotations

from collections.abc import Iterable

from ia2_eval.benchmarks import get_benchmark
from ia2_eval.leaderboard.page.shared import Json, Shared
from ia2_eval.leaderboard.page.words import headline_words
from ia2_eval.leaderboard.results.groups import Group, LabelType
from ia2_eval.leaderboard.style import Column, column_styles
from ia2_eval.protocol import Protocol


class Tables:
    def __init__(self, columns: Iterable[Column]) -> None:
        """
        Args:
            columns: all that the page shows.
        """
        self._styles = column_styles(columns)
        self._columns = {column: place for place, column in enumerate(self._styles)}
        self._groups, self._benchmarks, self._headlines = Shared(), Shared(), Shared()
        self.forms = Shared()  # names of metrics, and of those with an interval
        self.diagrams = Shared()
        self.values = Shared()  # of cells and their provenance

    def group(
        self,
        base: str,
        adapter: str,
        protocol: Protocol,
        source: str,
        n: int | None,
        column: Column,
        label_type: LabelType,
    ) -> int:
        place = self._columns[column]
        return self._groups.place([base, adapter, protocol, self.benchmark(source), n, place, label_type])

    def benchmark(self, name: str) -> int:
        return self._benchmarks.place([name, get_benchmark(name).title])

    def headline(self, group: Group, benchmark: str) -> int:
        single_token = get_benchmark(benchmark).single_token
        return self._headlines.place(headline_words(group.headline(benchmark), group.protocol, single_token))

    def diagram(self, drawn: Json) -> int | None:
        return None if drawn is None else self.diagrams.place(drawn)

    @property
    def content(self) -> dict[str, Json]:
        return {
            "columns": [[style.title, style.colour] for style in self._styles.values()],
            "groups": self._groups.values,
            "benchmarks": self._benchmarks.values,
            "headlines": self._headlines.values,
            "forms": self.forms.values,
            "diagrams": self.diagrams.values,
            "values": self.values.values,
        }
