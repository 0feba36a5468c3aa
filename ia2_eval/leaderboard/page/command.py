"""`ia2-eval leaderboard page`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from ia2_eval.atomic import write_atomically
from ia2_eval.errors import UserError
from ia2_eval.leaderboard.page.document import to_page
from ia2_eval.leaderboard.results.results import read_results

PAGE = "page.html"


def page_command(directories: Sequence[Path], out: Path | None, console: Console) -> int:
    """Writes the page, prints what could not be used and where the page is. Gives the exit status.

    Args:
        directories: what `ia2-eval run --out` wrote, or lm-eval's `--output_path`; one or several.
        out: file to write; by default `page.html` in the directory, if it is one.
        console: to print on.

    Returns:
        1 where a file could not be used, or cells have failed or are missing, as of `build`; else 0.

    Raises:
        UserError: a directory holds neither a record nor a plan, there are several and no `out`, or it is a directory.
    """
    if out is None and len(directories) != 1:
        raise UserError(f"the page of {len(directories)} directories needs a place of its own: give --out FILE.html")
    out = out or directories[0] / PAGE
    if out.is_dir():
        raise UserError(f"--out {out} is a directory: name the file to write, such as {out / PAGE}")
    page = to_page(read_results(directories), out.parent)
    write_atomically(out, page.html.encode())
    if page.faults:
        console.print(Text("Faulty files:", style="bold"))
        for line in page.faults:
            console.print(Text(f"  {line}"), soft_wrap=True)
    console.print(Text(str(out), style="dim"), soft_wrap=True)
    return 1 if page.faults or page.incomplete else 0
