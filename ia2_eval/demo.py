"""`ia2-eval demo`: the shipped recipe, its leaderboard, and five lines on what is seen and what is not claimed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from ia2_eval.experiments.run import Settings
from ia2_eval.experiments.session import Overrides, run_recipe
from ia2_eval.leaderboard import build, print_leaderboard
from ia2_eval.leaderboard.aggregate import Row


def run_demo(out: Path, device: str | None, console: Console, progress: Console) -> int:
    """Run the demo in `out`; gives the exit status. What was run before is kept, as in any run."""
    started = time.monotonic()
    status = run_recipe(Path("demo"), out, Overrides(), Settings(device=device, batch_size=64), progress)
    if status:
        return status
    board = build(out)
    print_leaderboard(board, console)
    console.print()
    for line in lessons(board.rows):
        console.print(f"- {line}", highlight=False)
    console.print(f"\n{time.monotonic() - started:.0f} seconds", style="dim", highlight=False)
    return 1 if board.faults else 0


def lessons(rows: Sequence[Row]) -> list[str]:
    """Five lines about the demo's results, with the figures that were measured."""

    def show(source: str, metric: str, form: Callable[[float], str]) -> dict[str, str]:
        headline = [r for r in rows if r.source == source and r.metric == metric and r.selection != "oracle"]
        return {row.method: form(row.mean) for row in headline}

    arithmetic = show("embedded_arithmetic", "acc", lambda value: f"{100 * value:.0f} %")
    noisy = show("embedded_place_noisy", "acc", lambda value: f"{100 * value:.0f} %")
    noisy_ece = show("embedded_place_noisy", "ece", lambda value: f"{value:.2f}")
    clean = show("embedded_mood", "acc", lambda value: f"{100 * value:.0f} %")
    return [
        f"In context: four solved problems take arithmetic in a format the model never saw from {arithmetic['no_icl']} "
        f"to {arithmetic['icl']}; it is the format that is learned, the sums it knew.",
        f"Arithmetic from 4 examples without a prompt: SFT {arithmetic['sft']}, IA2 {arithmetic['ia2']}, "
        f"IA2 → SFT {arithmetic['ia2_sft']}.",
        f"8 examples with a fifth of the labels wrong: SFT {noisy['sft']} (ECE {noisy_ece['sft']}), "
        f"IA2 → SFT {noisy['ia2_sft']} (ECE {noisy_ece['ia2_sft']}), ICL {noisy['icl']} (ECE {noisy_ece['icl']}).",
        f"The other side: on clean labels (mood) SFT reaches {clean['sft']}, IA2 → SFT {clean['ia2_sft']}: "
        "alignment does not always pay.",
        "Not claimed: that a 0.8 M-parameter model on synthetic text reproduces the paper. "
        "It shows the methods at work; run a recipe on a real model for evidence.",
    ]
