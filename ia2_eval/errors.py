"""The one error type meant for the person at the keyboard."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user can mend. The message says what is wrong, with the value, and how to mend it.

    The command line prints it without a traceback and exits with status 2.
    """


def did_you_mean(value: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the known name nearest to `value`, or the list of known names when none is near."""
    known = list(known)
    near = difflib.get_close_matches(value, known, n=1)
    return f" Did you mean {near[0]!r}?" if near else f" Known: {', '.join(known)}."
