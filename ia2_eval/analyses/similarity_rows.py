"""What is known of the similarity of one model to in-context learning: the lines of three CSV files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

from ia2_eval.leaderboard.results.headline import Headline
from ia2_eval.leaderboard.style import Column
from ia2_eval.protocol import Protocol

if TYPE_CHECKING:
    from ia2_eval.analyses.cosine import Averages

Mode = Literal["teacher_forced", "free_running"]
MODES: tuple[Mode, ...] = ("teacher_forced", "free_running")
"""`teacher_forced`: the student reads the teacher's response (`strict`). `free_running`: its own (`paper`)."""


@dataclass(frozen=True)
class Run:
    """One model of which the similarity is measured, on one evaluation set. `no_icl` is the base as it is."""

    base: str
    adapter: str  # empty for no_icl
    protocol: Protocol
    source: str
    eval: str
    N: int  # of the training set, and of the demonstrations that the teacher is shown
    seed: int
    method: str
    variant: str
    learning_rate: float | None
    key: str  # of the record
    mode: Mode

    @property
    def column(self) -> Column:
        return Column(self.method, self.variant)


@dataclass(frozen=True)
class RunSimilarity(Run):
    """One line of `similarity.csv`."""

    n: int  # evaluation examples
    similarity: float  # mean over examples of the mean over layers and response positions
    accuracy: float | None  # of this very run
    accuracy_metric: str  # which accuracy it is, as in the record
    ece: float | None
    ece_metric: str


@dataclass(frozen=True)
class LayerSimilarity(Run):
    """One line of `similarity_by_layer.csv`."""

    layer: int
    n: int
    similarity: float


@dataclass(frozen=True)
class TokenSimilarity(Run):
    """One line of `similarity_by_token.csv`."""

    layer: int
    token: int  # position in the response, from 0
    n: int  # examples whose response is that long
    similarity: float


@dataclass
class Similarities:
    runs: list[RunSimilarity] = field(default_factory=list)
    layers: list[LayerSimilarity] = field(default_factory=list)
    tokens: list[TokenSimilarity] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """What could not be measured, and why."""

    def add(self, run: Run, averages: Averages, n: int, reported: Headline, metrics: Mapping[str, float]) -> None:
        """Lines for one student. `n`: its examples; `metrics`: of its record, of which the reported ones are kept."""
        same = asdict(run)
        self.runs.append(
            RunSimilarity(
                **same,
                n=n,
                similarity=averages.overall,
                accuracy=metrics.get(reported.accuracy),
                accuracy_metric=reported.accuracy,
                ece=metrics.get(reported.calibration),
                ece_metric=reported.calibration,
            )
        )
        for layer, (value, values) in enumerate(zip(averages.by_layer, averages.by_layer_and_token, strict=True)):
            self.layers.append(LayerSimilarity(**same, layer=layer, n=n, similarity=value))
            self.tokens += [
                TokenSimilarity(**same, layer=layer, token=token, n=reached, similarity=at_token)
                for token, (at_token, reached) in enumerate(zip(values, averages.examples_at, strict=True))
            ]


def own_mode(protocol: Protocol) -> Mode:
    """The way of comparing that a protocol reports."""
    return "free_running" if protocol == "paper" else "teacher_forced"
