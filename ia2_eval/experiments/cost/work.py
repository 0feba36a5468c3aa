"""The work of a pass in numbers: tokens, and the amounts that its time depends on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Work:
    """Tokens, and named amounts such as steps or requests, each of which takes its time."""

    teacher: int = 0
    """Tokens that the teacher reads and, at most, writes."""
    trained: int = 0
    """Tokens that go forward and backward, at most: of the whole budget of epochs."""
    checked: int = 0
    """Tokens of dev checks, at most."""
    read: int = 0
    """Tokens of prompts in evaluations; what all prompts of a task begin with is read once."""
    generated: int = 0
    """Tokens generated in evaluations, at most."""
    amounts: Mapping[str, float] = field(default_factory=dict)

    @property
    def forward(self) -> int:
        """Tokens that go forward only."""
        return self.teacher + self.checked + self.read + self.generated


def total(parts: Iterable[Work]) -> Work:
    """All of it."""
    tokens, amounts = Counter[str](), Counter[str]()
    for part in parts:
        tokens.update({name: getattr(part, name) for name in TOKENS})
        for name, amount in part.amounts.items():
            amounts[name] += amount  # type: ignore[assignment]
    return Work(**{name: tokens[name] for name in TOKENS}, amounts=dict(amounts))


TOKENS = ("teacher", "trained", "checked", "read", "generated")
