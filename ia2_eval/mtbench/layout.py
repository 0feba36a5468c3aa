"""Where the files of MT-Bench runs are: FastChat's own folders, and what it has no place for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ia2_eval.errors import UserError

_UNSAFE = re.compile(r"""[/\\:*?"<>|\s\x00-\x1f\x7f]""")
LONGEST_NAME = 200
"""Bytes of a file name without its suffix; file systems take 255 with it."""


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
    return _UNSAFE.sub("_", name)


def answers_name(base: str, prompts: str, decoding: str, adapter: str | None = None) -> str:
    """The model id of answers that were given none, such as `Mistral-7B-v0.1--urial--t0_rp1.15_max2048`.

    Args:
        base: hub name, directory, or an endpoint's name of the model.
        prompts: name of the prompt set, or `chat`.
        decoding: name of the setting.
        adapter: name of the adapter on it.
    """
    name = Path(base).name
    name = name if name.strip(".") else Path(base).resolve().name
    return model_id_of("--".join([f"{name}+{adapter}" if adapter else name, prompts, decoding]))


def model_id_of(name: str) -> str:
    """A name that was asked for, as one of files.

    Raises:
        UserError: files cannot be called so.
    """
    model_id = file_name(name)
    if not model_id.strip("._"):
        raise UserError(f"the model id {name!r} is no name of a file: give one with letters or digits")
    if len(model_id.encode()) > LONGEST_NAME:
        raise UserError(f"the model id {name!r} has more than {LONGEST_NAME} bytes: give a shorter one with --model-id")
    return model_id
