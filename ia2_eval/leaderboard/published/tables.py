"""Ours, published and the difference, in the layout of the paper's tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ia2_eval.benchmarks import get_benchmark
from ia2_eval.leaderboard.published.compare import ACROSS_PROTOCOLS, PublishedRow, Quantity
from ia2_eval.leaderboard.published.entries import ALPHA
from ia2_eval.leaderboard.results.groups import Group
from ia2_eval.leaderboard.style import Column, column_styles
from ia2_eval.leaderboard.tables.table import (
    ABSENT,
    MISSING,
    Place,
    Section,
    Stack,
    Table,
    eval_title,
    places,
    sections,
)
from ia2_eval.protocol import Protocol

VALUES: Stack = ("ours", "published", "Δ (sd)")
QUANTITIES: tuple[Quantity, ...] = ("accuracy", "ECE")


def published_tables(groups: Sequence[Group], rows: Sequence[PublishedRow]) -> Iterator[Table]:
    """Per section accuracy and ECE of single-token benchmarks, then accuracy of multi-token ones.

    A place where only methods without training have a published number is shown once, in the first section.
    """
    there = [row for row in rows if row.ours is not None]
    trained = {(row.base, row.protocol, _place(row)) for row in there if row.adapter}
    begun: set[tuple[str, Protocol]] = set()
    for section in sections(groups):
        board = (section.base, section.protocol)
        first = board not in begun
        begun.add(board)
        own = {_place(row) for row in there if (row.base, row.protocol, row.adapter) == section and row.adapter}
        if first:
            own |= {_place(row) for row in there if (row.base, row.protocol) == board} - {
                place for *found, place in trained if tuple(found) == board
            }
        for single_token in (True, False):
            at = [place for place in places(section.groups(groups), single_token) if place in own]
            for quantity in QUANTITIES:
                shown = {
                    (_place(row), Column(row.method, row.variant)): row
                    for row in rows
                    if (row.base, row.protocol) == board
                    and row.adapter in ("", section.adapter)
                    and row.quantity == quantity
                    and _place(row) in at
                }
                if shown:
                    yield _table(
                        section, quantity, [place for place in at if any(at == place for at, _ in shown)], shown
                    )


def _place(row: PublishedRow) -> Place:
    return Place(row.N, row.source, row.eval)


def _table(
    section: Section,
    quantity: Quantity,
    at: Sequence[Place],
    shown: Mapping[tuple[Place, Column], PublishedRow],
) -> Table:
    styles = column_styles(column for _, column in shown)
    in_table = [*shown.values()]
    across = f" · {ACROSS_PROTOCOLS}" if in_table[0].comparison == ACROSS_PROTOCOLS else ""
    return Table(
        title=f"{section.title} · {quantity} beside arXiv {in_table[0].arxiv}{across}",
        columns=tuple(style.title for style in styles.values()),
        values=VALUES,
        rows=tuple(
            (
                ("–" if place.n is None else str(place.n), _examples(place, in_table)),
                (get_benchmark(place.source).title, eval_title(place.source, place.eval)),
                *(_stack(shown.get((place, column))) for column in styles),
            )
            for place in at
        ),
        caption=tuple(_caption(section, quantity, in_table)),
    )


def _examples(place: Place, rows: Sequence[PublishedRow]) -> str:
    """Number of examples; `20 of 500` where that is another than the paper's."""
    row = next(row for row in rows if (row.N, row.source, row.eval) == place and row.n is not None)
    return str(row.n) if row.n == row.published_n else f"{row.n} of {row.published_n}"


def _stack(row: PublishedRow | None) -> Stack:
    """Such as `78.7 (13.7)`, `80.1 (5.0)` and `-1.4 (-0.3)`: the last in points, and in published stds."""
    if row is None:
        return (ABSENT,) * len(VALUES)
    scale, form = (100, ".1f") if row.quantity == "accuracy" else (1, ".2f")

    def shown(mean: float, std: float | None, single: bool) -> str:
        if single:
            return format(scale * mean, form)
        return f"{scale * mean:{form}} ({ABSENT if std is None else format(scale * std, form)})"

    published = shown(row.published, row.published_std, row.published_runs == 1)
    if row.ours is None or row.difference is None:
        return MISSING, published, ABSENT
    ours = shown(row.ours, row.ours_std, row.seeds is None)
    if row.seeds != row.seeds_expected:
        ours += f" {row.seeds}/{row.seeds_expected}"
    in_sd = ABSENT if row.difference_in_sd is None else _signed(row.difference_in_sd, ".1f")
    return ours, published, f"{_signed(scale * row.difference, form)} ({in_sd})"


def _signed(value: float, form: str) -> str:
    """With a sign, but 0 without one."""
    shown = format(value, f"+{form}")
    return shown if float(shown) else shown.lstrip("+-")


def _caption(section: Section, quantity: Quantity, rows: Sequence[PublishedRow]) -> Iterator[str]:
    if section.protocol != "paper":
        yield (
            f"{ACROSS_PROTOCOLS}: ours are under {section.protocol}, the published ones under paper, which takes "
            "other demonstrations, stopping, learning rates and evaluation weights: a difference may be the protocol's."
        )
    seeds = sorted({row.seeds for row in rows if row.seeds is not None})
    over = f"mean over {'–'.join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))} seeds" if seeds else "one evaluation"
    spread = "population" if section.protocol == "paper" else "sample"
    tables = sorted({int(number) for row in rows for number in row.tables.split()})
    which = f"table{'s' * (len(tables) > 1)} {', '.join(map(str, tables))}"
    yield (
        f"Ours: {over} ({spread} std). Published: {which}, mean over "
        f"{max(row.published_runs for row in rows)} runs (population std). Δ: ours - published"
        f"{' in points' if quantity == 'accuracy' else ''}, in brackets in published stds; "
        f"({ABSENT}): that std is 0, or was not published."
    )
    yield "Bases are matched by name only (its last part)."
    yield from _metrics(rows)
    if quantity == "ECE":
        yield "The paper prints two decimals: where its std is 0.01 or 0.02, a difference in stds is coarse."
    if any(row.n is not None and row.n != row.published_n for row in rows):
        yield (
            "n, such as 20 of 500: evaluated on other numbers of examples than published, so with more sampling noise."
        )
    if any(row.published_adapter and not ALPHA.search(row.published_adapter) for row in rows if "lora" in row.adapter):
        yield "alpha of the published adapter is not known."
    tested = [row.p_value for row in rows if row.p_value is not None]
    if tested:
        yield (
            f"Welch's t-test from these summaries, not corrected for the number of comparisons ({len(tested)}): "
            f"least p {min(tested):.2g}; all in published.csv."
        )
    if any(row.ood for row in rows):
        yield "*: out of distribution."
    if lacking := [row for row in rows if row.seeds != row.seeds_expected]:
        yield f"{lacking[0].seeds}/{lacking[0].seeds_expected}: seeds that are there / seeds expected."


def _metrics(rows: Sequence[PublishedRow]) -> Iterator[str]:
    pairs = sorted({(row.metric, row.published_metric) for row in rows})
    for metric, published_metric in pairs:
        if metric == published_metric:
            yield f"Metric: {metric}, as published." if metric.endswith("published") else f"Metric: {metric}."
        else:
            yield f"Metric: ours is {metric}, for some results lack {published_metric}, which is what was published."
