"""`ia2-eval demo`: the shipped recipe, its leaderboard, and five lines on what is seen and what is not claimed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ia2_eval.experiments.method_options import Method
from ia2_eval.experiments.record import Record
from ia2_eval.experiments.session import Overrides, run_recipe
from ia2_eval.experiments.settings import Settings
from ia2_eval.leaderboard.build import build
from ia2_eval.leaderboard.results.aggregate import Row
from ia2_eval.leaderboard.results.read import read_run
from ia2_eval.leaderboard.results.summary import summarise
from ia2_eval.leaderboard.tables.terminal import print_leaderboard

ARITHMETIC, NOISY, CLEAN = "embedded_arithmetic", "embedded_time_noisy", "embedded_time"


def run_demo(out: Path, device: str | None, console: Console, progress: Console) -> int:
    """Run the demo in `out`; gives the exit status. What was run before is kept, as in any run."""
    started = time.monotonic()
    status = run_recipe(Path("demo"), out, Overrides(), Settings(device=device, batch_size=64), progress)
    if status:
        return status
    board = build(out)
    print_leaderboard(board, console)
    console.print()
    for line in lessons(board.rows, read_run(out).records):
        console.print(f"- {line}", highlight=False)
    console.print(f"\n{time.monotonic() - started:.0f} seconds", style="dim", highlight=False)
    return 1 if board.faults or board.incomplete else 0


def lessons(rows: Sequence[Row], records: Sequence[Record]) -> list[str]:
    """Five lines about the demo's results, every figure in them measured: means over the seeds with 95 % intervals."""
    headline = {(row.source, row.method, row.metric): row for row in rows if row.selection != "oracle"}

    def shown(source: str, metric: str, *methods: Method) -> str:
        names = {"no_icl": "no ICL", "icl": "ICL", "sft": "SFT", "ia2": "IA2", "ia2_sft": "IA2 → SFT"}
        return ", ".join(f"{names[method]} {_figure(headline[source, method, metric])}" for method in methods)

    def difference(source: str) -> str:
        """IA2 → SFT minus SFT, paired by seed, each at the learning rate of its row."""
        accuracy = {
            (record.cell.method, record.cell.seed): record.evaluations[0].metrics["acc"]
            for record in records
            for row in [headline.get((source, record.cell.method, "acc"))]
            if row and record.cell.source == source and record.cell.learning_rate == row.learning_rate
        }
        seeds = [seed for method, seed in accuracy if method == "sft"]
        points = summarise([100 * (accuracy["ia2_sft", seed] - accuracy["sft", seed]) for seed in seeds], 1, None)
        return (
            f"IA2 → SFT minus SFT, by seed: {points.mean:+.1f} points ({points.ci_low:+.1f} to {points.ci_high:+.1f})"
        )

    trained = ("sft", "ia2", "ia2_sft")
    sft = headline[ARITHMETIC, "sft", "acc"]
    unparsed = _figure(headline[ARITHMETIC, "no_icl", "unparsed"])
    return [
        f"In context: {shown(ARITHMETIC, 'acc', 'no_icl', 'icl')} right in arithmetic, in a format that the model was "
        f"never trained on; without demonstrations {unparsed} of the answers are in other formats.",
        f"Four examples, trained on instead of shown: {shown(ARITHMETIC, 'acc', *trained)}; {difference(ARITHMETIC)} "
        f"({sft.seeds} seeds, {sft.n} test examples each; ±: half a 95 % interval).",
        f"Eight examples, a fifth of the labels wrong: {shown(NOISY, 'acc', 'icl', *trained)}; {difference(NOISY)}. "
        f"ECE: {shown(NOISY, 'ece', 'icl', *trained)}.",
        f"Eight examples, all labels right: {shown(CLEAN, 'acc', 'icl', *trained)}; {difference(CLEAN)}. "
        f"ECE: {shown(CLEAN, 'ece', 'icl', *trained)}.",
        "Not claimed: that a model of 0.8 M parameters on synthetic text reproduces the papers. It shows the methods "
        "at work, on sets chosen to show both sides; for evidence, run a recipe on a real model.",
    ]


def _figure(row: Row) -> str:
    """A mean with half the width of its interval: a share in per cent, ECE as a number."""
    scale, form, unit = (1, ".2f", "") if row.metric == "ece" else (100, ".0f", " %")
    half = "" if row.ci_low is None or row.ci_high is None else f" ± {scale * (row.ci_high - row.ci_low) / 2:{form}}"
    return f"{scale * row.mean:{form}}{half}{unit}"
