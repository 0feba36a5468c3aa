"""Where the files of MT-Bench runs are: FastChat's own folders, and what it has no place for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_UNSAFE = str.maketrans({"/": "_", "\\": "_", ":": "_", " ": "_"})


@dataclass(frozen=True)
class Layout:
    """An --out directory. FastChat's tools read `model_answer` and `model_judgment`.

    `model_answer/<model id>.jsonl` holds answers, one row a question; `model_judgment/<judge>_single.jsonl` and
    `_pair.jsonl` judgments of all models; `settings/<model id>.json` how the answers were made, and
    `texts/<model id>.jsonl` each text as it was generated.
    """

    directory: Path

    @property
    def answers_directory(self) -> Path:
        return self.directory / "model_answer"

    def answers(self, model_id: str) -> Path:
        return self.answers_directory / f"{model_id}.jsonl"

    def judgments(self, judge: str, mode: str) -> Path:
        """`mode` is `single` or `pair`."""
        return self.directory / "model_judgment" / f"{file_name(judge)}_{mode}.jsonl"

    def settings(self, model_id: str) -> Path:
        return self.directory / "settings" / f"{model_id}.json"

    def texts(self, model_id: str) -> Path:
        return self.directory / "texts" / f"{model_id}.jsonl"

    def model_ids(self) -> tuple[str, ...]:
        """Models with answers, by name."""
        return tuple(sorted(path.stem for path in self.answers_directory.glob("*.jsonl")))


def file_name(name: str) -> str:
    """A name such as `org/model` as one of a file."""
    return name.translate(_UNSAFE)
