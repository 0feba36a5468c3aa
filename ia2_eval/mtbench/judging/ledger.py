"""A file of judgments that grows while the judge answers, and ends with one row of each kind in a fixed order."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Generic

from ia2_eval.atomic import write_atomically
from ia2_eval.errors import UserError
from ia2_eval.mtbench.judging.judgments import SUPERSEDED, Judgment, PairJudgment
from ia2_eval.mtbench.judging.matches import Identity, Row
from ia2_eval.mtbench.questions import rows_of


class Ledger(Generic[Row]):
    """The rows of a file, the last one of each identity; and those that were superseded, in a file of their own.

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
        self.stale: Collection[Identity] = ()
        """Rows of other requests than today's. They stand until the judge gives an opinion; then all are superseded."""
        self.held: dict[Identity, Row] = {}
        """Failed rows in place of stale ones, not written as long as these stand."""
        rows, self._untidy = _read(path, kind)
        for row in rows:
            if row.key is None:
                self.foreign.append(row)
                continue
            self._untidy |= identity(row) in self.rows
            self.rows[identity(row)] = row
        self.superseded_path = path.with_suffix(SUPERSEDED)
        self.superseded = {(identity(row), row.key): row for row in _read(self.superseded_path, kind)[0]}

    def tidy(self) -> None:
        """Rewrite the file, if need be, so that it can be appended to: whole lines, and no row twice.

        Raises:
            UserError: the file cannot be written.
        """
        if self._untidy:
            _write(self.path, [*self.foreign, *self.rows.values()])
            self._untidy = False

    def append(self, row: Row, has_opinion: bool) -> None:
        """
        Args:
            row: to be written; or held, if stale rows stand and this is no better.
            has_opinion: the judge gave one, if only on one game of a pair.

        Raises:
            UserError: a file cannot be written.
        """
        identity = self.identity(row)
        if has_opinion and self.stale:
            self._supersede()
        if identity in self.stale:
            self.held[identity] = row
            return
        self._untidy |= identity in self.rows
        _append(self.path, row)
        self.rows[identity] = row

    def _supersede(self) -> None:
        """Stale rows go to their own file, first: a kill in between leaves them in both, and they are stale still."""
        rows = [self.rows[identity] for identity in self.stale]
        superseded = {**self.superseded, **{(self.identity(row), row.key): row for row in rows}}
        current = {identity: row for identity, row in self.rows.items() if identity not in self.stale} | self.held
        _write(self.superseded_path, superseded.values())
        _write(self.path, [*self.foreign, *current.values()])
        self.superseded, self.rows, self.stale, self.held = superseded, current, (), {}

    def finish(self) -> None:
        """Rewrite the file in its order: that of a run that nothing disturbed.

        Raises:
            UserError: the file cannot be written.
        """
        rows = [*self.foreign, *self.rows.values()]
        rows.sort(key=self.identity)
        _write(self.path, rows)


def _read(path: Path, kind: type[Row]) -> tuple[tuple[Row, ...], bool]:
    """The rows of a file, if there is one, and whether it ends in the middle of another.

    Raises:
        UserError: the file cannot be read, or a line of it is no such row.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return (), False
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    *lines, torn = content.split(b"\n")
    try:
        return rows_of(lines, path, kind, "FastChat's model_judgment"), bool(torn)
    except UserError as error:
        raise UserError(f"{error} (delete that line: its judgment is asked for again)") from error


def _write(path: Path, rows: Iterable[Judgment | PairJudgment]) -> None:
    content = "".join(map(_line, rows)).encode()
    try:
        if not (path.exists() and path.read_bytes() == content):
            write_atomically(path, content)
    except OSError as error:
        raise _unwritable(path, error) from error


def _line(row: Judgment | PairJudgment) -> str:
    return json.dumps(row.model_dump(mode="json", exclude_unset=True)) + "\n"


def _append(path: Path, row: Judgment | PairJudgment) -> None:
    """The whole row, or nothing that a later one could run into."""
    size = path.stat().st_size if path.exists() else 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="ascii") as file:
            file.writelines([_line(row)])
    except OSError as error:
        with suppress(OSError):
            os.truncate(path, size)
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(
        f"cannot write {path}: {error.strerror}; what was judged before is kept: mend it, then run the same command"
    )
