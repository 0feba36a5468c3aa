"""`ia2-eval leaderboard mtbench`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from ia2_eval.atomic import write_atomically
from ia2_eval.errors import UserError
from ia2_eval.leaderboard.tables.html import to_html
from ia2_eval.leaderboard.tables.latex import to_latex
from ia2_eval.leaderboard.tables.markdown import to_markdown
from ia2_eval.leaderboard.tables.terminal import print_tables
from ia2_eval.mtbench.boards.gather import MT_BENCH, Gathered, gather
from ia2_eval.mtbench.boards.published import published_beside
from ia2_eval.mtbench.boards.rows import board_rows, to_csv, to_parquet
from ia2_eval.mtbench.boards.tables import board_tables
from ia2_eval.mtbench.reports.results import Results, results
from ia2_eval.mtbench.reports.sources import categories_of

TITLE = "MT-Bench boards"


def board_command(directories: Sequence[Path], published: bool, out: Path | None, console: Console) -> int:
    """Prints a board per bench and judge, and writes `mtbench.csv`, `.parquet`, `.md`, `.tex` and `.html`.

    Args:
        directories: what mtbench commands, or FastChat, wrote; one or several.
        published: whether URIAL's published scores stand beside those of the same bases.
        out: where to write; by default the folder `board` in the directory, if it is one.
        console: for people.

    Returns:
        0: failed judgments are shown, but the board has not failed.

    Raises:
        UserError: a directory cannot be used, nothing is published of these models, or a file cannot be written.
    """
    if out is None and len(directories) != 1:
        raise UserError(f"the board of {len(directories)} directories needs a place of its own: give --out DIRECTORY")
    folder = out or directories[0] / "board"
    gathered = gather(directories)
    found = {bench: results(sources, categories_of(sources, None, None)) for bench, sources in gathered.sources.items()}
    tables = [table for bench, of_bench in found.items() for table in board_tables(bench, of_bench, gathered.settings)]
    rows = [row for bench, of_bench in found.items() for row in board_rows(bench, of_bench, gathered.settings)]
    if published:
        beside, their_rows = published_beside(found.get(MT_BENCH), gathered.settings, gathered.ids)
        tables += beside
        rows += their_rows
    if not tables:
        raise UserError(
            "only pairwise judgments: `ia2-eval mtbench report` shows them; a board needs answers or ratings"
        )
    notes = tuple(_notes(gathered, found))
    remarks = [("Notes", notes)] if notes else []
    files = {
        "mtbench.csv": to_csv(rows).encode(),
        "mtbench.parquet": to_parquet(rows),
        "mtbench.md": to_markdown(TITLE, tables, remarks).encode(),
        "mtbench.tex": to_latex(tables).encode(),
        "mtbench.html": to_html(TITLE, tables, remarks).encode(),
    }
    try:
        for name, content in files.items():
            write_atomically(folder / name, content)
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}; give another folder with --out") from error
    print_tables(tables, console)
    for note in notes:
        console.print(Text(f"Note: {note}"), soft_wrap=True)
    console.print(Text(str(folder), style="dim"), soft_wrap=True)
    return 0


def _notes(gathered: Gathered, found: dict[str, Results]) -> Iterator[str]:
    yield from gathered.notes
    for bench, of_bench in found.items():
        for note in of_bench.notes:
            what, needed, _ = note.partition(": say which questions")
            yield f"{bench}: {what}" + ("; a question.jsonl in the directory would tell" if needed else "")
        scored = {of_model.model for of_model in of_bench.scored}
        waiting = [model for model in of_bench.degeneration if model not in scored]
        if waiting and not scored:
            yield f"{bench}: nothing is judged yet: `ia2-eval mtbench judge` rates answers"
        elif waiting:
            more = f" and {len(waiting) - 3} more" if len(waiting) > 3 else ""
            yield f"{bench}: not judged yet: {', '.join(waiting[:3])}{more}"
    if len(found) > 1:
        yield f"{len(found)} benches ({', '.join(found)}): scores on different questions do not compare"
    judges = {judge for of_bench in found.values() for judge in of_bench.judges}
    if len(judges) > 1:
        yield f"{len(judges)} judges ({', '.join(sorted(judges))}): scores by different judges do not compare"
