"""What a run of the judge will cost, and has cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ia2_eval.mtbench.judging.calls import Call
from ia2_eval.mtbench.judging.judge_settings import JudgeSettings

CHARACTERS_PER_TOKEN = 4
"""Rough, for English."""


@dataclass(frozen=True)
class Plan:
    """Calls to come, by the name of their prompt, and the tokens of their prompts."""

    calls: Counter[str]
    tokens: Counter[str]

    @classmethod
    def of(cls, calls: Iterable[Call[float]] | Iterable[Call[str]]) -> Plan:
        counts: Counter[str] = Counter()
        tokens: Counter[str] = Counter()
        for call in calls:
            counts[call.prompt] += 1
            tokens[call.prompt] += sum(len(message["content"]) for message in call.messages) // CHARACTERS_PER_TOKEN
        return cls(counts, tokens)


def cost(settings: JudgeSettings, tokens_in: int, tokens_out: int) -> float | None:
    """In the currency of the prices; None if there are none."""
    if settings.price_in is None and settings.price_out is None:
        return None
    return (tokens_in * (settings.price_in or 0.0) + tokens_out * (settings.price_out or 0.0)) / 1e6


def print_plan(plan: Plan, settings: JudgeSettings, console: Console) -> None:
    """The calls by prompt, and bounds of what they cost. A call that must be repeated is not in it."""
    calls, tokens = plan.calls.total(), plan.tokens.total()
    if not calls:
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("prompt", "calls", "input tokens (estimate)"):
        table.add_column(heading, justify="left" if heading == "prompt" else "right")
    for name in sorted(plan.calls):
        table.add_row(name, f"{plan.calls[name]:,}", f"{plan.tokens[name]:,}")
    if len(plan.calls) > 1:
        table.add_row("together", f"{calls:,}", f"{tokens:,}")
    console.print(table)
    most = calls * settings.max_tokens
    low, high = cost(settings, tokens, 0), cost(settings, tokens, most)
    if low is None or high is None:
        said = f"output: at most {most:,} tokens; no cost without --price-in and --price-out"
    else:
        said = f"cost: about {low:,.2f} for the input, at most {high - low:,.2f} more for {most:,} tokens of output"
    console.print(Text(said, style="dim"), soft_wrap=True)
