"""Shows what is done in a run's directory, what is going on, what failed and why, and what is left."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ia2_eval.experiments.cost.show import duration
from ia2_eval.experiments.upkeep.glance import Glance
from ia2_eval.experiments.upkeep.state import Life, Seen, State, read_state
from ia2_eval.experiments.upkeep.time_to_go import time_to_go

SHOWN = 5
"""Files, and processes of which nothing is said but that they are there, at most."""

LIVES: dict[Life, str] = {
    "alive": "",
    "ended": " (has ended)",
    "silent": " (no heartbeat while it was watched)",
    "not known": " (not known to be alive)",
}


class Cause(NamedTuple):
    """Failed cells of one cause."""

    cause: str
    failed: int
    transient: int
    """Of these, those that the next run tries again by itself."""
    example: Glance


def causes(failed: Sequence[Glance]) -> list[Cause]:
    """Failed cells by cause, the most frequent first."""
    groups: dict[str, list[Glance]] = {}
    for record in failed:
        groups.setdefault(record.said, []).append(record)
    found = [
        Cause(cause, len(members), sum(member.transient for member in members), members[0])
        for cause, members in groups.items()
    ]
    return sorted(found, key=lambda each: (-each.failed, each.cause))


def status_command(directory: Path, console: Console, *, watch: bool, as_json: bool) -> None:
    """Print the state of a run's directory.

    Raises:
        UserError: it is no run's directory.
    """
    state = read_state(directory, watch=watch)
    if as_json:
        print(json.dumps(as_object(state), indent=1, ensure_ascii=False))
    else:
        _print(state, console)


def as_object(state: State) -> dict[str, object]:
    """The state of a directory for programs."""
    estimate = time_to_go(state)
    return {
        "directory": str(state.directory),
        "cells": len(state.keys),
        "planned": None if state.plan is None else len(state.plan),
        "done": len(state.having("ok")),
        "running": len(state.running),
        "failed": len(state.having("failed")),
        "left": len(state.left),
        "newer": {each.key: each.said for each in state.having("newer")},
        "damaged": {each.key: each.said for each in state.having("damaged")},
        "set_aside": state.set_aside,
        "plan_fault": state.plan_fault,
        "causes": [
            {
                "cause": each.cause,
                "failed": each.failed,
                "transient": each.transient,
                "example": {"key": each.example.key, "label": each.example.label},
            }
            for each in causes(state.having("failed"))
        ],
        "processes": [
            {**seen.process.model_dump(mode="json", exclude={"machine", "beat"}), "life": seen.life}
            for seen in state.processes
        ],
        "time_to_go": estimate and estimate._asdict(),
    }


def _print(state: State, console: Console) -> None:
    without_plan = f"{'plan.json is damaged' if state.plan_fault else 'no plan.json'}: what is left is not known"
    planned = without_plan if state.plan is None else _counted(len(state.keys), "cell")
    console.print(Text.assemble((str(state.directory), "bold"), f": {planned}"), soft_wrap=True)
    _indented(_counts(state), console)
    if state.plan is not None and (state.left or state.running):
        console.print(Text(_time_line(state)))
    _section(
        "by benchmark",
        [_by_benchmark(state)] if len({state.kind(key).source for key in state.keys}) > 1 else [],
        console,
    )
    _section("processes", [Text(line) for line in _process_lines(state.processes)], console)
    _section("failed, by cause", list(_cause_lines(state)), console)
    _section("not used", [Text(line) for line in _unusable_lines(state)], console)
    for line in _advice(state):
        console.print(Text(line), soft_wrap=True)


def _section(title: str, lines: Sequence[Text | Table], console: Console) -> None:
    if lines:
        console.print(Text(title, style="bold"))
    for line in lines:
        _indented(line, console)


def _indented(line: Text | Table, console: Console) -> None:
    console.print(Padding(line, (0, 0, 0, 2), expand=False))


def _counts(state: State) -> Table:
    rows = Table.grid(padding=(0, 2))
    rows.add_column()
    rows.add_column(justify="right")
    counts = {"done": len(state.having("ok")), "running": len(state.running), "failed": len(state.having("failed"))}
    if state.plan is not None:
        counts["left"] = len(state.left)
    if newer := len(state.having("newer")):
        counts["of a later version"] = newer
    for name, count in counts.items():
        rows.add_row(name, f"{count:,}")
    return rows


def _time_line(state: State) -> str:
    estimate = time_to_go(state)
    if estimate is None:
        return "time to go: not known before a cell is done; `ia2-eval run RECIPE.yaml --dry-run` measures it"
    unlike = f"; {estimate.unlike:,} of the cells to go have none alike" if estimate.unlike else ""
    at_work = any(seen.at_work for seen in state.processes)
    workers = _counted(estimate.workers, "worker") if at_work else "one worker (none is at work)"
    return (
        f"time to go: about {duration(estimate.seconds)} with {workers}, by what "
        f"{_counted(estimate.done, 'done cell')} took{unlike}"
    )


def _by_benchmark(state: State) -> Table:
    columns = {
        "done": [each.key for each in state.having("ok")],
        "running": state.running,
        "failed": [each.key for each in state.having("failed")],
        "left": state.left,
    }
    counted = {name: Counter(state.kind(key).source for key in keys) for name, keys in columns.items()}
    rows = Table.grid(padding=(0, 2))
    rows.add_column(overflow="fold")
    for _ in counted:
        rows.add_column(justify="right")
    rows.add_row("", *counted)
    for source in dict.fromkeys(state.kind(key).source for key in state.keys):
        rows.add_row(source, *(f"{counts[source]:,}" for counts in counted.values()))
    return rows


def _process_lines(processes: Sequence[Seen]) -> Iterator[str]:
    for process, life in processes:
        doing = f": {process.doing}" if process.doing else ": starts, or waits" if process.role == "worker" else ""
        yield f"{process.role} on {process.host}, process {process.pid}{LIVES[life]}{doing}"


def _cause_lines(state: State) -> Iterator[Text]:
    for cause, failed, transient, example in causes(state.having("failed")):
        again = "all" if transient == failed else f"{transient:,}"
        tried = f" ({again} to be tried again by the next run)" if transient else ""
        yield Text.assemble((f"{failed:,}", "red"), f" x {cause}{tried}")
        yield Text(f"    such as {example.label} (records/{example.key}.json)", style="dim")


def _unusable_lines(state: State) -> Iterator[str]:
    if state.plan_fault:
        yield f"plan.json: {state.plan_fault}; delete it and run the recipes of this directory again"
    newer, damaged = state.having("newer"), state.having("damaged")
    for records, what in ((newer, ""), (damaged, ": damaged; the next run sets it aside and runs the cell again")):
        for each in records[:SHOWN]:
            yield f"records/{each.key}.json: {each.said}{what}"
        if len(records) > SHOWN:
            yield f"and {len(records) - SHOWN:,} more like it (all are named by --json)"


def _advice(state: State) -> Iterator[str]:
    failed = state.having("failed")
    busy = any(seen.life in ("alive", "not known") for seen in state.processes)
    if failed:
        yield f"try failed cells again: ia2-eval retry {state.directory}"
    if not busy and (state.left or any(each.transient for each in failed)):
        yield f"go on: ia2-eval run RECIPE.yaml --out {state.directory}"
    if any(seen.life == "not known" for seen in state.processes):
        yield f"which processes live: ia2-eval status {state.directory} --watch"
    if state.set_aside:
        yield f"set aside for another try before: {_counted(state.set_aside, 'failed record')} in failed/"
    if not busy and any(seen.life in ("ended", "silent") for seen in state.processes):  # a run tidies at its end
        yield f"what processes left behind: ia2-eval gc {state.directory}"
    if state.plan is not None and not (failed or state.left or state.running or state.having("newer")):
        yield f"all is done; the table: ia2-eval leaderboard build {state.directory}"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")
