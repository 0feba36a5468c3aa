"""What has become of the cells of a sweep, whoever ran them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from ia2_eval.experiments.record import Record
from ia2_eval.experiments.store import Store

MOST_ATTEMPTS = 3
"""How often a cell is run whose failure is transient."""


def is_settled(record: Record | None) -> bool:
    """Whether a cell needs no further attempt."""
    return record is not None and not (
        record.status == "failed" and record.transient and record.attempt < MOST_ATTEMPTS
    )


class Ledger:
    """The records of some cells, read as they appear in the store."""

    def __init__(
        self, store: Store, keys: Iterable[str], on_damaged: Callable[[Path, str], None] | None = None
    ) -> None:
        """
        Args:
            store: of the records.
            keys: of the cells.
            on_damaged: told of files that were set aside; None leaves them where they are.
        """
        self._store, self._on_damaged = store, on_damaged
        self.unsettled = dict.fromkeys(keys)  # a set in the order of the plan
        self.records: dict[str, Record] = {}

    def refresh(self) -> list[Record]:
        """Look which cells have been settled since the last look; their records."""
        try:
            with os.scandir(self._store.directory / "records") as entries:
                there = {entry.name.removesuffix(".json") for entry in entries}
        except FileNotFoundError:
            return []
        found = [record for key in self.unsettled if key in there and (record := self.look(key))]
        self.settle(found)
        return found

    def look(self, key: str) -> Record | None:
        """The record of a cell if it is settled, as it is on disk now."""
        record = self._store.record(key, self._on_damaged)
        if record is None:
            return None
        self.records[key] = record
        return record if is_settled(record) else None

    def settle(self, records: Iterable[Record]) -> None:
        """Take note of records; of settled cells nothing more is read."""
        for record in records:
            self.records[record.key] = record
            if is_settled(record):
                self.unsettled.pop(record.key, None)

    def attempt(self, key: str) -> int:
        """The number of the next attempt at a cell."""
        return self.records[key].attempt + 1 if key in self.records else 1
