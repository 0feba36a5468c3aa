"""What a row of a data set must hold: one check per column."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """A required column."""

    expected: str
    """What the check asks for, in words."""
    check: Callable[[object], bool]


def one_of(*allowed: object) -> Column:
    """One of the given values, of the same type (in Python `True == 1`, but a JSON `true` is no label 1)."""
    return Column(
        "one of " + ", ".join(repr(value) for value in allowed),
        lambda value: any(type(value) is type(known) and value == known for known in allowed),
    )


def _is_lettered(value: object) -> bool:
    """Whether `value` is `{"text": [8 strings], "label": ["A", ..., "H"]}`."""
    if not isinstance(value, Mapping) or list(value.get("label", ())) != list("ABCDEFGH"):
        return False
    texts = value.get("text")
    return isinstance(texts, list) and len(texts) == 8 and all(isinstance(text, str) for text in texts)


TEXT = Column("text", lambda value: isinstance(value, str))
LETTERED_CHOICES = Column('{"text": 8 texts, "label": ["A", ..., "H"]}', _is_lettered)


def faults(row: object, columns: Mapping[str, Column]) -> Iterator[str]:
    """What is wrong with `row`: each missing column and each value that its check refuses."""
    if not isinstance(row, Mapping):
        yield f"expected an object with the columns {', '.join(columns)}, found {row!r:.80}"
        return
    for name, column in columns.items():
        if name not in row:
            yield f"column {name!r} is missing (found: {', '.join(row)})"
        elif not column.check(row[name]):
            yield f"column {name!r} must be {column.expected}, found {row[name]!r:.80}"
