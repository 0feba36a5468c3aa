"""Prints an estimate."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ia2_eval.experiments.cost.estimate import Estimate, Time
from ia2_eval.lm.base_model import SMALL

LONG_PASS = 600.0
"""Seconds of work that nobody likes to lose."""


def print_estimate(estimate: Estimate, console: Console) -> None:
    """What is left to do, and what it costs."""
    if not estimate.cells:
        console.print("nothing is left to do", highlight=False)
        return
    rows = Table.grid(padding=(0, 2))
    rows.add_column(no_wrap=True, style="bold")
    rows.add_column(overflow="fold")
    for name, said in _lines(estimate):
        rows.add_row(name, Text(said))
    console.print(rows)


def _lines(estimate: Estimate) -> list[tuple[str, str]]:
    work, disk, size = estimate.work, estimate.disk, estimate.size
    adapters = f", {_counted(estimate.adapters, 'adapter')}" if estimate.adapters else ""
    parts = [
        f"{byte_count(disk.adapters)} of adapters" if disk.adapters else "",
        f"{byte_count(disk.samples)} of samples",
        f"{byte_count(disk.records)} of records",
    ]
    until = f"; {byte_count(disk.targets)} of the teacher's targets until then" if disk.targets else ""
    lines = [
        ("base", f"{short(size.parameters)} parameters, {byte_count(size.weight_bytes)} in {estimate.dtype}"),
        ("left", f"{_counted(estimate.cells, 'cell')}{adapters}"),
        ("tokens", f"{short(work.trained)} forward and backward, {short(work.forward)} forward only; at most"),
    ]
    if work.trained:
        lines.append(("", f"teacher {short(work.teacher)}, dev checks {short(work.checked)}"))
    generated = f", {short(work.generated)} generated" if work.generated else ""
    lines += [
        ("", f"evaluation {short(work.read)} read{generated}"),
        ("judge calls", "none"),
        ("disk", f"{byte_count(disk.total)} when complete: {', '.join(filter(None, parts))}{until}"),
    ]
    lines += _time_lines(estimate, estimate.time) if estimate.time else [("time", f"not known: {estimate.no_time}")]
    return lines + [("note", note) for note in estimate.notes]


def _time_lines(estimate: Estimate, time: Time) -> list[tuple[str, str]]:
    on_cpu = time.device == "cpu"
    shown = dict(time.seconds)
    if on_cpu and estimate.size.parameters >= SMALL:  # one worker has all the cores to itself
        shown = {count: seconds for count, seconds in shown.items() if count == 1}
    said = [f"{duration(seconds)} with {_counted(count, 'worker')}" for count, seconds in shown.items()]
    undisturbed = ", if they do not disturb each other" if on_cpu and any(count > 1 for count in shown) else ""
    starts, longest = duration(time.start_seconds), duration(time.longest_pass)
    measured = f"measured here in {duration(time.calibration_seconds)} on {time.device}, for the whole budget of epochs"
    lines = [
        ("time, local", f"about {'; '.join(said)}{undisturbed}"),
        ("time, ray", "the same on machines like this one, and what Ray needs to start: not measured"),
        ("", measured),
        (
            "",
            f"a worker starts in {starts}; the longest pass takes {longest}",
        ),
    ]
    if time.longest_pass > LONG_PASS:
        lines.append(("", "a lost worker loses its pass: a smaller --adapters-per-pass makes passes shorter"))
    return lines


def duration(seconds: float) -> str:
    """Such as `5.5 s`, `2 min 20 s`, `3 h 05 min` or `2 days 4 h`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} days {hours % 24} h"


def short(count: int) -> str:
    """Such as `840`, `13.2 k`, `12.3 M` or `4.57 B`."""
    for unit, name in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if count >= 0.9995 * unit:
            return f"{count / unit:.3g} {name}" if count < 999.5 * unit else f"{count / unit:,.0f} {name}"
    return str(count)


def byte_count(count: int) -> str:
    """Such as `3.2 MiB`."""
    for unit, name in ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}" if count < 1000 * unit else f"{count / unit:,.0f} {name}"
    return f"{count / 1024:.3g} KiB" if count < 1000 * 1024 else "1 MiB"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")
