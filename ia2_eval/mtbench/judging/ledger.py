"""A file of judgments that grows while the judge answers, and ends with one row of each kind in a fixed order."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Generic

from ia2_eval.atomic import write_atomically
from ia2_eval.errors import UserError
from ia2_eval.mtbench.judging.judgments import SUPERSEDED, Judgment, PairJudgment
from ia2_eval.mtbench.judging.matches import Identity, Row
from ia2_eval.mtbench.questions import read_lines


class Ledger(Generic[Row]):
    """The rows of a file, the last one of each identity.

    Rows without a key are another program's; they are left as they are.
    """

    def __init__(self, path: Path, kind: type[Row], identity: Callable[[Row], Identity]) -> None:
        """
        Raises:
            UserError: the file cannot be read, or a line of it is no such row.
        """
        self.path = path
        self.identity = identity
        self.rows: dict[Identity, Row] = {}
        self.foreign: list[Row] = []
        self._untidy = False
        if path.exists() and path.stat().st_size:
            self._read(kind)

    @property
    def superseded(self) -> Path:
        """Where rows go whose request has changed since: they were paid for."""
        return self.path.with_suffix(SUPERSEDED)

    def _read(self, kind: type[Row]) -> None:
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        self._untidy = whole != content
        if not whole.strip():
            return
        for row in read_lines(self.path, kind, "FastChat's model_judgment", lambda: None):
            if row.key is None:
                self.foreign.append(row)
                continue
            self._untidy |= self.identity(row) in self.rows
            self.rows[self.identity(row)] = row

    def supersede(self, stale: Iterable[Identity]) -> None:
        """Take rows out; they go to a file of their own.

        Raises:
            UserError: a file cannot be written.
        """
        rows = [self.rows.pop(identity) for identity in stale]
        if rows:
            _append(self.superseded, rows)
            self._untidy = True

    def tidy(self) -> None:
        """Rewrite the file, if need be, so that it can be appended to: whole lines, and no row twice.

        Raises:
            UserError: the file cannot be written.
        """
        if self._untidy:
            self._write([*self.foreign, *self.rows.values()])
            self._untidy = False

    def append(self, row: Row) -> None:
        """
        Raises:
            UserError: the file cannot be written.
        """
        self._untidy |= self.identity(row) in self.rows
        _append(self.path, [row])
        self.rows[self.identity(row)] = row

    def finish(self) -> None:
        """Rewrite the file in its order: that of a run that nothing disturbed.

        Raises:
            UserError: the file cannot be written.
        """
        self._write(sorted([*self.foreign, *self.rows.values()], key=self.identity))

    def _write(self, rows: Iterable[Row]) -> None:
        content = "".join(map(_line, rows)).encode()
        if self.path.exists() and self.path.read_bytes() == content:
            return
        try:
            write_atomically(self.path, content)
        except OSError as error:
            raise _unwritable(self.path, error) from error


def _line(row: Judgment | PairJudgment) -> str:
    return json.dumps(row.model_dump(mode="json", exclude_unset=True)) + "\n"


def _append(path: Path, rows: Iterable[Judgment | PairJudgment]) -> None:
    """All of them, or nothing that a later row could run into."""
    size = path.stat().st_size if path.exists() else 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="ascii") as file:
            file.writelines(map(_line, rows))
    except OSError as error:
        with suppress(OSError):
            os.truncate(path, size)
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(
        f"cannot write {path}: {error.strerror}; what was judged before is kept: mend it, then run the same command"
    )
