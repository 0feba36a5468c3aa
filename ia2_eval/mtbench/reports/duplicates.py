"""Rows that are in a file of judgments more than once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Literal, TypeVar

from ia2_eval.errors import UserError

Row = TypeVar("Row")

Duplicates = Literal["last", "first", "mean", "pool", "error"]
"""What is done with several judgments of the same repeat of the same answer, which a run that was started again leaves
in FastChat's files. `last` and `first` in the order of the files; `mean`: of their scores; `pool`: all are counted, as
FastChat's show_result does; `error`: they are refused."""


def without_duplicates(
    rows: Sequence[Row],
    identity: Callable[[Row], Hashable],
    rule: Duplicates,
    merge: Callable[[Sequence[Row]], Row] | None = None,
) -> tuple[Row, ...]:
    """The rows after the rule; all of them if it is `pool`.

    Args:
        rows: in the order of their files.
        identity: the same for duplicates.
        rule: what is done with them.
        merge: makes one row of several, for `mean`; None where there is no mean.

    Raises:
        UserError: there are duplicates and the rule is `error`, or `mean` where there is none.
    """
    if rule == "pool":
        return tuple(rows)
    same: dict[Hashable, list[Row]] = {}
    for row in rows:
        same.setdefault(identity(row), []).append(row)
    repeated = {what: found for what, found in same.items() if len(found) > 1}
    if rule == "error" and repeated:
        what, found = next(iter(repeated.items()))
        raise UserError(
            f"{len(repeated)} judgments are there more than once; the first, {what}, {len(found)} times. "
            "Choose what counts with --duplicates last, first, mean or pool"
        )
    if rule == "mean":
        if merge is None:
            if repeated:
                raise UserError("--duplicates mean: verdicts have no mean; choose last, first, pool or error")
            return tuple(rows)
        return tuple(found[0] if len(found) == 1 else merge(found) for found in same.values())
    return tuple(found[0] if rule == "first" else found[-1] for found in same.values())
