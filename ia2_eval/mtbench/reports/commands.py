"""`ia2-eval mtbench report`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.text import Text

from ia2_eval.atomic import write_atomically
from ia2_eval.errors import UserError
from ia2_eval.mtbench.reports.captions import WARNING
from ia2_eval.mtbench.reports.duplicates import Duplicates
from ia2_eval.mtbench.reports.figures import draw_figures
from ia2_eval.mtbench.reports.render import print_tables, to_markdown
from ia2_eval.mtbench.reports.results import results
from ia2_eval.mtbench.reports.sources import categories_of, read_sources
from ia2_eval.mtbench.reports.tables import tables
from ia2_eval.mtbench.reports.tidy import tidy, to_csv, to_json

ReportFormat = Literal["table", "csv", "markdown", "json"]


def report_command(
    directory: Path | None,
    judgments: Sequence[Path],
    output_format: ReportFormat,
    duplicates: Duplicates,
    compare_judges: bool,
    reference: str | None,
    bench: str | None,
    questions: Path | None,
    data_dir: Path | None,
    models: Sequence[str],
    out: Path | None,
    console: Console,
) -> int:
    """Prints a report of answers and judgments, and writes `report.csv`, `report.md` and heat maps as PNG and SVG.

    Args:
        directory: an --out directory of generate, sweep or judge; the files go to its folder `report`.
        judgments: files of FastChat's judgments, single or pairwise, read besides; nothing is written for them alone.
        output_format: what is printed.
        duplicates: what is done with several judgments of the same repeat of the same answer.
        compare_judges: whether each pair of judges is compared.
        reference: model that others are compared with, and the only opponent that counts in pairwise files.
        bench: whose categories; None: as the answers say, or MT-Bench's if all question ids are of it.
        questions: FastChat's question.jsonl, for the categories.
        data_dir: where the bench is.
        models: which to report; empty for all.
        out: another folder for the files, written for files of judgments, too.
        console: for people; CSV, Markdown and JSON are written to stdout as they are.

    Returns:
        0: failed judgments are shown, but the report has not failed.

    Raises:
        UserError: there is nothing to report, something that was named is not there, or a file cannot be written.
    """
    if directory is None and not judgments:
        raise UserError("nothing to report: give the --out directory of generate, sweep or judge, or --judgments FILE")
    sources = read_sources(directory, judgments, models)
    categories = categories_of(sources, bench, questions, data_dir)
    found = results(sources, categories, duplicates, reference, compare_judges)
    shown, rows = tables(found), tidy(found)
    title = "MT-Bench report"
    folder = out or (directory / "report" if directory else None)
    captions = [line for table in shown for line in table.caption]
    if output_format == "csv":
        sys.stdout.write(to_csv(rows))
        for line in (*found.notes, *(line for line in captions if line.startswith(WARNING))):
            print(line, file=sys.stderr)
    elif output_format == "json":
        sys.stdout.write(to_json(rows, [*found.notes, *captions]))
    elif output_format == "markdown":
        sys.stdout.write(to_markdown(title, shown, found.notes))
    else:
        print_tables(shown, found.notes, console)
    if folder is not None:
        try:
            pictures = draw_figures(found, folder)
            names = [path.name for path in pictures if path.suffix == ".png"]
            write_atomically(folder / "report.csv", to_csv(rows).encode())
            write_atomically(folder / "report.md", to_markdown(title, shown, found.notes, names).encode())
        except OSError as error:
            raise UserError(f"cannot write to {folder}: {error.strerror}; give another folder with --out") from error
        if output_format == "table":
            console.print(Text(str(folder), style="dim"), soft_wrap=True)
    return 0
