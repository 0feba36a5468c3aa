"""Examples by name: what demonstrations, training data, dev and held-out sets are drawn from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ia2_eval.benchmarks.load import data_directory
from ia2_eval.embedded.datasets import DATASETS
from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.mtbench.prompts.overlap import turn_key
from ia2_eval.mtbench.prompts.pools import load_pool
from ia2_eval.mtbench.prompts.prompt_set import URIAL_HEADINGS, Demonstration, Headings, Turn

EMBEDDED = "embedded:"
SPLITS = ("train", "test")


def load_examples(
    source: str,
    beside: Path,
    data_dir: Path | None,
    headings: Headings = URIAL_HEADINGS,
    on_unusable: Callable[[str], None] | None = None,
) -> dict[int, Demonstration]:
    """The usable rows of a source by number, from 1; of rows with the same first query the first.

    Args:
        source: a pool's file (`load_pool`), beside the recipe or in the data directory; or `embedded:NAME/SPLIT`, rows
            of a synthetic data set: the text or question, and the label or worked answer.
        beside: directory of the recipe.
        data_dir: None for the directory in `IA2_DATA_DIR`, if any.
        headings: of the prompt set that they are for.
        on_unusable: see `load_pool`.

    Raises:
        UserError: no such source, or it is faulty.
    """
    if source.startswith(EMBEDDED):
        rows: Sequence[Demonstration] = list(_embedded(source))
    else:
        rows = load_pool(_find(source, beside, data_dir), headings, on_unusable)
    unique: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        unique.setdefault(turn_key(row.turns[0].query), number)
    return {number: rows[number - 1] for number in unique.values()}


def _find(path: str, beside: Path, data_dir: Path | None) -> Path:
    places = [place for place in (beside, data_directory(data_dir)) if place is not None]
    for place in places:
        if (place / path).is_file():
            return place / path
    where = " or ".join(f"{str(place)!r}" for place in places)
    raise UserError(f"there is no file {path!r} in {where}: give --data-dir, or a path relative to the recipe")


def _embedded(source: str) -> Iterator[Demonstration]:
    name, _, split = source.removeprefix(EMBEDDED).partition("/")
    if name not in DATASETS:
        raise UserError(f"there is no synthetic data set {name!r}.{did_you_mean(name, DATASETS)}")
    if split not in SPLITS:
        raise UserError(f"{source}: must end in /train or /test, such as {EMBEDDED}{name}/train")
    for row in DATASETS[name].rows(split):
        query, answer = (row["question"], row["answer"]) if "question" in row else (row["text"], row["label"])
        yield Demonstration(turns=(Turn(query=query.strip(), answer=str(answer).strip()),))
