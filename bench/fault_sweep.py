"""A sweep of 200 cells that is disturbed by `kill -9`, and what must be true of it in the end.

For `faults.py` and for whatever else disturbs a sweep: it ends with the records of an undisturbed run, bit for bit, and
no cell is run twice to completion.
"""

from __future__ import annotations

import ctypes
import os
import random
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from ia2_eval.experiments.record import Record, parse_record
from ia2_eval.experiments.store import Store

CELLS = 200
SOURCES = ("embedded_mood", "embedded_time", "embedded_time_noisy", "embedded_arithmetic")
RECIPE = {
    "name": "faults",
    "base": {"model": "embedded"},
    "benchmarks": [{"source": source, "n": 4} for source in SOURCES],
    "seeds": list(range(7)),
    "methods": ["no_icl", "icl", "sft", "ia2", "ia2_sft"],
    "learning_rates": [1e-2, 3e-3],
    "epochs": 2,
    "limit": 8,
}
"""Of each source 1 cell without and 7 with demonstrations, and 3 x 7 x 2 that are trained."""
OPTIONS = ("--device", "cpu", "--adapters-per-pass", "4")
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
KILL_SECONDS = 3.0
MOST_ENDED = 30
"""Drivers that may end without success and without having been killed, such as for too many lost workers."""

IN_MOVED_TO = 0x80


def command(recipe: Path, out: Path, *options: str) -> list[str]:
    """`ia2-eval run` of the sweep."""
    return [sys.executable, "-m", "ia2_eval.cli", "run", str(recipe), "--out", str(out), *OPTIONS, *options]


def environment() -> dict[str, str]:
    return {**os.environ, **ENVIRONMENT}


def write_recipe(directory: Path) -> Path:
    path = directory / "recipe.yaml"
    path.write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
    return path


def undisturbed(recipe: Path, out: Path) -> float:
    """Run the sweep in one process that nothing disturbs; gives the seconds that it took."""
    started = time.monotonic()
    done = subprocess.run(command(recipe, out), env=environment(), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the undisturbed run failed:\n{done.stdout}{done.stderr}")
    return time.monotonic() - started


class Puts:
    """Counts how often each file is put into a folder by renaming, which Linux tells without a gap (inotify)."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._file = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._file < 0 or self._libc.inotify_add_watch(self._file, os.fsencode(folder), IN_MOVED_TO) < 0:
            raise OSError(ctypes.get_errno(), "inotify")
        self.counts: Counter[str] = Counter()

    def look(self) -> None:
        """Read what was told since the last look; call it often, for the system's memory of events is limited."""
        while True:
            try:
                told = os.read(self._file, 1 << 16)
            except BlockingIOError:
                return
            place = 0
            while place < len(told):
                _, mask, _, length = struct.unpack_from("iIII", told, place)
                if not mask & IN_MOVED_TO:
                    raise SystemExit("the system lost count of renamed files")
                name = told[place + 16 : place + 16 + length].rstrip(b"\0").decode()
                self.counts[name] += 1
                place += 16 + length


class Disturbed(NamedTuple):
    """What a sweep went through."""

    done: bool
    """Within its time."""
    seconds: float
    kills: Counter[str]
    """Of each role."""
    starts: int
    """Of drivers."""
    statuses: Counter[int]
    """With which drivers ended."""
    said: str
    """The last of what drivers wrote."""


def disturb(
    start: Callable[[], subprocess.Popen[bytes]],
    victims: Callable[[subprocess.Popen[bytes]], dict[str, int]],
    roles: Sequence[str],
    puts: Puts,
    log: Path,
    seed: int = 0,
    minutes: float = 15.0,
    every: float = KILL_SECONDS,
) -> Disturbed:
    """Run a sweep and kill -9 one of its processes every few seconds, until it is done.

    At every stroke one of the roles is drawn; where there is no such process at that time, as while the driver starts,
    nobody is killed. A driver that ends without success is started again.

    Args:
        start: starts a driver.
        victims: of a driver, processes by role that may be killed.
        roles: to draw from.
        puts: watches the records.
        log: what drivers write.
        seed: of the draws.
        minutes: to give up after.
        every: so many seconds.
    """
    drawn = random.Random(seed)
    started = time.monotonic()
    kills: Counter[str] = Counter()
    statuses: Counter[int] = Counter()
    driver, starts, stroke = start(), 1, started + every
    try:
        while True:
            puts.look()
            now = time.monotonic()
            status = driver.poll()
            if status is not None:
                statuses[status] += 1
                ended = sum(count for number, count in statuses.items() if number > 0)
                if status == 0 or now - started > 60 * minutes or ended > MOST_ENDED:
                    break
                driver, starts = start(), starts + 1
            elif now - started > 60 * minutes:
                break
            elif now >= stroke:
                stroke += every
                role = drawn.choice(list(roles))
                victim = victims(driver).get(role)
                if victim is not None:
                    os.kill(victim, 9)
                    kills[role] += 1
            time.sleep(0.02)
    finally:
        driver.kill()
        driver.wait()
    puts.look()
    said = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-12:])
    return Disturbed(status == 0, time.monotonic() - started, kills, starts, statuses, said)


def records(out: Path) -> dict[str, Record]:
    """All records by key; one that is not valid raises ValueError."""
    return {path.stem: parse_record(path.read_bytes(), path.stem) for path in sorted(out.glob("records/*.json"))}


def faults(out: Path, reference: Path, puts: Puts) -> list[str]:
    """What is not as it must be after a disturbed run in `out`; `reference` has the undisturbed one."""
    there, wanted = records(out), records(reference)
    if len(wanted) != CELLS:
        raise SystemExit(f"the undisturbed run has {len(wanted)} records instead of {CELLS}: mend this script")
    found = [f"{key} has no record" for key in wanted.keys() - there.keys()]
    found += [f"{key} is a record of no cell" for key in there.keys() - wanted.keys()]
    store, undisturbed_store = Store(out), Store(reference)
    for key in sorted(wanted.keys() & there.keys()):
        found += [
            f"{key} {what} as in the undisturbed run" for what in _differing(there[key], wanted[key], store, reference)
        ]
        aside = len(list(out.glob(f"failed/{key}.*.json")))
        if (times := puts.counts[f"{key}.json"] - aside) != 1:
            found.append(f"{key} has been written {times} times, besides {aside} that were set aside")
        if wanted[key].cell.trained:
            adapter, same = store.adapter_path(key), undisturbed_store.adapter_path(key)
            found += [
                f"{file.relative_to(out)} is not the same"
                for file in sorted(adapter.glob("*"))
                if file.name != "training.json" and file.read_bytes() != (same / file.name).read_bytes()
            ]
    for left in out.rglob("*"):
        if left.name.startswith(".") or left.suffix in (".tmp", ".partial", ".damaged"):
            found.append(f"{left.relative_to(out)} was left behind")
    if (out / "targets").exists():
        found.append("targets were left behind")
    return found


def _differing(record: Record, wanted: Record, store: Store, reference: Path) -> list[str]:
    differing = [
        f"has not the same {what}"
        for what in ("status", "cell", "training", "evaluations")
        if getattr(record, what) != getattr(wanted, what)
    ]
    for evaluation in wanted.evaluations:
        samples = store.directory / evaluation.samples
        if not samples.is_file() or samples.read_bytes() != (reference / evaluation.samples).read_bytes():
            differing.append(f"has not the same samples of {evaluation.eval}")
    return differing


def report(disturbed: Disturbed, undisturbed_seconds: float, out: Path, found: Sequence[str]) -> int:
    """Print what happened; gives the exit status."""
    kills = ", ".join(f"{count} of {role}" for role, count in sorted(disturbed.kills.items()))
    written = len(list(out.glob("records/*.json")))
    print(
        f"{'done' if disturbed.done else 'NOT DONE'} in {disturbed.seconds:.0f} s, "
        f"{disturbed.seconds / undisturbed_seconds:.1f} x the undisturbed run in one process "
        f"({undisturbed_seconds:.0f} s); {written} of {CELLS} records\n"
        f"kill -9: {sum(disturbed.kills.values())} ({kills}); {disturbed.starts} starts of the driver, which ended "
        f"with {dict(disturbed.statuses)}; {len(list(out.glob('failed/*.json')))} records of cells set aside whose "
        "workers died too often"
    )
    if not disturbed.done:
        print(f"the last that was said:\n{disturbed.said}")
    for fault in found:
        print("FAULT", fault)
    print(f"{len(found)} faults" if found else "every record, sample and adapter as in the undisturbed run")
    return 0 if disturbed.done and not found else 1
