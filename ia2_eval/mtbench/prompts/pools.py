"""Pools of examples that demonstrations are drawn from: LIMA, Alpaca, OpenHermes and own rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ia2_eval.errors import UserError
from ia2_eval.mtbench.prompts.builders import fault_within
from ia2_eval.mtbench.prompts.prompt_set import URIAL_HEADINGS, Demonstration, Headings, Turn

FAULTS_SHOWN = 10
SHAPES = (
    "`conversations` (LIMA: query and answer in turn; OpenHermes: `from` and `value`), `instruction`, `input` and "
    "`output` (Alpaca), or `turns` with `query` and `answer`"
)


def load_pool(
    path: Path, headings: Headings = URIAL_HEADINGS, on_unusable: Callable[[str], None] | None = None
) -> tuple[Demonstration, ...]:
    """The examples in a file of JSON lines, or in one JSON list; `source` or `category` of a row is their source.

    Args:
        path: the file. Rows are LIMA's (`conversations`), Alpaca's (`instruction`, `input`, `output`), OpenHermes's
            (`conversations` of `from` and `value`), or own ones (`turns` of `query` and `answer`).
        headings: of the prompt set that they are for.
        on_unusable: is told of each row that has the right form but cannot be a demonstration (nothing in a query or an
            answer, a heading at the start of a line, half a character), which is left out. None: such a row is a fault.

    Raises:
        UserError: the file is missing, or a row is faulty; faults come with their lines.
    """
    try:
        content = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read the pool {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"the pool {path} is not UTF-8: byte {error.start}") from error
    pool, faults = [], []
    for where, row in _rows(path, content):
        try:
            demonstration = _read(row)
        except ValueError as error:
            faults.append(f"{where}: {error}")
            continue
        if unusable := _unusable(demonstration, headings):
            if on_unusable is None:
                faults.append(f"{where}: {unusable}")
            else:
                on_unusable(f"{path}, {where}: {unusable}; left out")
            continue
        pool.append(demonstration)
    if faults:
        more = [f"{len(faults) - FAULTS_SHOWN} more"] if len(faults) > FAULTS_SHOWN else []
        raise UserError("\n  ".join([f"the pool {path} cannot be used:", *faults[:FAULTS_SHOWN], *more]))
    if not pool:
        raise UserError(f"the pool {path} has no examples")
    return tuple(pool)


def _rows(path: Path, content: str) -> Iterator[tuple[str, str]]:
    """Where each row is, and the row as JSON."""
    if content.lstrip().startswith("["):
        try:
            rows = json.loads(content)
        except ValueError as error:
            raise UserError(f"the pool {path} begins as a JSON list, and is none: {error}") from error
        yield from ((f"entry {number}", json.dumps(row)) for number, row in enumerate(rows, start=1))
        return
    for number, line in enumerate(content.split("\n"), start=1):
        if line.strip():
            yield f"line {number}", line


def _read(line: str) -> Demonstration:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ValueError(f"no JSON: {error}") from error
    if not isinstance(row, dict):
        raise ValueError(f"must be an object with {SHAPES}")
    if isinstance(row.get("conversations"), list):
        turns = _said_in_turn(row["conversations"])
    elif isinstance(row.get("turns"), list):
        turns = [(_text(turn, "query"), _text(turn, "answer")) for turn in row["turns"]]
    elif "instruction" in row and "output" in row:
        further = _text(row, "input") if row.get("input") is not None else ""
        turns = [("\n\n".join(filter(None, (_text(row, "instruction"), further))), _text(row, "output"))]
    else:
        raise ValueError(f"has {', '.join(row) or 'no keys'}; needed: {SHAPES}")
    if not turns:
        raise ValueError("has no turns")
    source = row.get("source") or row.get("category") or ""
    return Demonstration(turns=tuple(Turn(query=query, answer=answer) for query, answer in turns), source=str(source))


def _said_in_turn(conversation: Sequence[Any]) -> list[tuple[str, str]]:
    said = [entry for entry in conversation if not (isinstance(entry, dict) and entry.get("from") == "system")]
    for place, entry in enumerate(said):
        if isinstance(entry, dict) and entry.get("from") != ("gpt" if place % 2 else "human"):
            raise ValueError(f"`human` and `gpt` must take turns; entry {place + 1} is from {entry.get('from')!r}")
    texts = [_text(entry, "value") if isinstance(entry, dict) else _text({"entry": entry}, "entry") for entry in said]
    if len(texts) % 2:
        raise ValueError(f"the conversation has {len(texts)} entries: the last query has no answer")
    return list(zip(texts[::2], texts[1::2], strict=True))


def _text(row: Any, key: str) -> str:
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, str):
        raise ValueError(
            f"`{key}` must be a text (found {value!r})" if isinstance(row, dict) else f"{row!r} is no turn"
        )
    return value


def _unusable(demonstration: Demonstration, headings: Headings) -> str | None:
    for turn in demonstration.turns:
        if not turn.query.strip():
            return "a query has nothing in it"
        if not (turn.answer or "").strip():
            return "an answer has nothing in it"
    return fault_within(demonstration, headings)
