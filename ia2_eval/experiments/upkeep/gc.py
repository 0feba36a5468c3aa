"""Shows what is of no use any more in a run's directory, and deletes it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ia2_eval.errors import UserError
from ia2_eval.experiments.cost.show import byte_count
from ia2_eval.experiments.ownership.processes import PATIENCE, Processes
from ia2_eval.experiments.ownership.workplace import working_in
from ia2_eval.experiments.store import Store
from ia2_eval.experiments.upkeep.leftovers import KINDS, Leftover, find_leftovers, size_of
from ia2_eval.experiments.upkeep.state import read_state, see

SHOWN = 3
"""Paths of a kind, unless all are asked for."""
SECONDS_TO_BEGIN = 1.0
"""Between the first file that a process writes, which is the plan, and its heartbeat."""


def collect_garbage(directory: Path, console: Console, *, delete: bool, every_path: bool) -> None:
    """Show what is of no use any more in a run's directory; delete it, if that is asked for.

    Raises:
        UserError: it is no run's directory; or it is to be deleted while processes work there.
    """
    if delete:
        found = _delete(directory, console)
        _print(found, directory, every_path, console)
        if found:
            console.print(f"{_counted(len(found), 'path', 'paths')} deleted", highlight=False)
        return
    state = read_state(directory)
    found = find_leftovers(state, {seen.process.id for seen in state.processes if seen.life != "ended"})
    _print(found, directory, every_path, console)
    if state.plan is None:
        console.print("no plan.json that can be read: adapters and samples without a record are left alone")
    if unknown := sum(seen.life == "not known" for seen in state.processes):
        note = "may be alive: --delete watches for a minute whether they are"
        console.print(f"{_counted(unknown, 'worker or driver', 'workers or drivers')} of other machines {note}")
    if found:
        console.print(Text(f"nothing is deleted yet: ia2-eval gc {directory} --delete"), soft_wrap=True)


def _delete(directory: Path, console: Console) -> list[Leftover]:
    """What was deleted."""
    read_state(directory)  # refuses what is no run's directory
    store = Store(directory)
    if nameless := _nameless(store):
        time.sleep(SECONDS_TO_BEGIN)
    ended = _require_alone(store, console)
    paths = [Processes(store.processes_path).path(name) for name in ended]
    found = [Leftover("heartbeats", path, size_of(path)) for path in paths]
    for path in paths:
        path.unlink(missing_ok=True)
    with working_in(store, "gc") as place:  # which keeps runs out, and what is found now is nobody's
        beginning = _nameless(store) - nameless - set(ended)
        found += find_leftovers(read_state(directory), {place.presence.id, *beginning})
        for leftover in found:
            _remove(leftover.path)
    return found


def _nameless(store: Store) -> set[str]:
    """Names of processes that have a folder and no heartbeat: they have ended, or are about to begin."""
    folders = {path.name for path in (store.work_path / "partial").glob("*")}
    return folders - {path.stem for path in store.processes_path.glob("*.json")}


def _require_alone(store: Store, console: Console) -> list[str]:
    """Names of processes that have ended, when all have; those of other machines are watched for as long as it takes.

    Raises:
        UserError: one is alive.
    """
    processes = Processes(store.processes_path)
    seen = see(processes)
    if elsewhere := [each.process for each in seen if each.life == "not known"]:
        hosts = ", ".join(sorted({process.host for process in elsewhere}))
        console.print(f"watching for {PATIENCE:.0f} s whether processes on {hosts} are alive", highlight=False)
    beats = {process.id: process.beat for process in elsewhere}
    alive = [each.process for each in seen if each.life == "alive"]
    while not alive and (waited := processes.living()):
        alive = [process for process in waited if process.beat != beats.get(process.id)]
        time.sleep(processes.patience / 60)
    if alive:
        raise UserError(
            f"{str(store.directory)!r}: a {alive[0].role} works there ({alive[0].host}, process {alive[0].pid}); "
            "delete when it has ended"
        )
    return [each.process.id for each in seen]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _print(found: Sequence[Leftover], directory: Path, every_path: bool, console: Console) -> None:
    if not found:
        console.print(Text(f"{directory}: nothing that could be deleted"), soft_wrap=True)
        return
    rows = Table.grid(padding=(0, 2))
    rows.add_column(no_wrap=True)
    rows.add_column(justify="right", no_wrap=True)
    rows.add_column(justify="right", no_wrap=True)
    rows.add_column(overflow="fold")
    for kind, (why, _) in KINDS.items():
        of_kind = [leftover for leftover in found if leftover.kind == kind]
        if of_kind:
            rows.add_row(kind, f"{len(of_kind):,}", byte_count(sum(each.size for each in of_kind)), why)
            shown = of_kind if every_path else of_kind[:SHOWN]
            names = [each.path.relative_to(directory).as_posix() for each in shown]
            if len(of_kind) > len(shown):
                names.append("... (--paths shows all)")
            rows.add_row("", "", "", Text("\n".join(names), style="dim"))
    rows.add_row("in all", f"{len(found):,}", byte_count(sum(each.size for each in found)), "")
    console.print(rows)


def _counted(count: int, one: str, several: str) -> str:
    return f"{count:,} {one if count == 1 else several}"
