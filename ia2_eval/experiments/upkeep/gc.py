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
from ia2_eval.experiments.upkeep.leftovers import KINDS, Leftover, find_leftovers
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
    state = read_state(directory)
    if not delete:
        living = {seen.process.id for seen in state.processes if seen.life != "ended"}
        found = find_leftovers(state, living)
        _print(found, directory, every_path, console)
        if state.plan is None:
            console.print("no plan.json that can be read: adapters and samples without a record are left alone")
        if unknown := sum(seen.life == "not known" for seen in state.processes):
            minute = f"{unknown} of other machines may be alive: --delete watches them for a minute"
            console.print(f"of {len(state.processes)} processes, {minute}", highlight=False)
        if found:
            console.print(Text(f"nothing is deleted yet: ia2-eval gc {directory} --delete"), soft_wrap=True)
        return
    store = Store(directory)
    if unnamed := _unnamed(store):
        time.sleep(SECONDS_TO_BEGIN)
    dead = _require_alone(store, console)
    for name in dead:
        Processes(store.processes_path).path(name).unlink(missing_ok=True)
    # As a rescoring, it keeps runs out; what is found now is what nobody else can change.
    with working_in(store, "rescore") as place:
        found = find_leftovers(read_state(directory), {place.presence.id, *(_unnamed(store) - unnamed)})
        for leftover in found:
            _remove(leftover.path)
    _print(found, directory, every_path, console)
    if found:
        console.print(f"{_counted(len(found), 'path')} deleted", highlight=False)


def _unnamed(store: Store) -> set[str]:
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


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")
