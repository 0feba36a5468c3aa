"""The prompt files of the two public repositories, pinned by commit and checksum, and their names."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from ia2_eval.mtbench.downloads import PinnedFile

_LIST = Path(__file__).parent / "urial_files.csv"
_COMMITS = {
    "tml-epfl/icl-alignment": "2bb48bb0a7e91b6f8ab2f16a2b186b828bf87a91",
    "Re-Align/URIAL": "127f94ed4a08955a79368355fcd878a2ee8c0e2e",
}
_FOLDERS = {"tml-epfl/icl-alignment": "icl-alignment", "Re-Align/URIAL": "Re-Align"}


@cache
def pinned_files() -> dict[str, PinnedFile]:
    """The files that can be fetched, by name."""
    with _LIST.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    files = [
        PinnedFile(row["repository"], _COMMITS[row["repository"]], row["path"], row["sha256"], int(row["bytes"]))
        for row in rows
    ]
    return {
        public_name(f"{_FOLDERS[file.repository]}/{file.path.removeprefix('urial_prompts/')}"): file for file in files
    }


def public_name(path: str) -> str:
    """`icl-alignment/random/urial.random.5.examples.txt` as `random/urial.random.5`.

    Sets of icl-alignment go without its name, all others keep their folder.
    """
    suffix = Path(path).suffix
    return path.removesuffix(suffix).removesuffix(".examples").removeprefix("icl-alignment/")


def aliases(names: Iterable[str]) -> dict[str, str]:
    """What a set may be called: its name, that with `icl-alignment/`, and the last part where only one set has it."""
    names = list(dict.fromkeys(names))
    last = Counter(name.rpartition("/")[2] for name in names)
    short = {name.rpartition("/")[2]: name for name in names if last[name.rpartition("/")[2]] == 1}
    return short | {f"icl-alignment/{name}": name for name in names} | {name: name for name in names}
