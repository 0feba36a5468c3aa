"""What a report is made from: an --out directory, or files of judgments of any origin."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.mtbench.answers import ModelAnswer
from ia2_eval.mtbench.bench import load_bench
from ia2_eval.mtbench.generation.answer_settings import read_settings
from ia2_eval.mtbench.judging.judgments import (
    SUPERSEDED,
    Judgment,
    PairJudgment,
    read_judgments,
    read_pair_judgments,
)
from ia2_eval.mtbench.layout import Layout
from ia2_eval.mtbench.questions import load_questions, read_lines
from ia2_eval.mtbench.reports.settings import Setting

Kind = Literal["single", "pair"]

MT_BENCH_CATEGORIES = ("writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities")
MT_BENCH_IDS = {81 + i: category for i, category in enumerate(name for name in MT_BENCH_CATEGORIES for _ in range(10))}
"""Category of each of MT-Bench's 80 questions."""


@dataclass
class Sources:
    """What was read."""

    judgments: list[Judgment] = field(default_factory=list)
    pairs: list[PairJudgment] = field(default_factory=list)
    answers: dict[str, tuple[ModelAnswer, ...]] = field(default_factory=dict)
    """By model id."""
    settings: dict[str, Setting] = field(default_factory=dict)
    """By model id; of those whose answers this package made."""
    questions: dict[int, str] = field(default_factory=dict)
    """Categories in the directory's own question.jsonl, where it has one."""
    notes: list[str] = field(default_factory=list)
    """Files of which something was left out."""

    @property
    def models(self) -> tuple[str, ...]:
        named: list[str] = [*self.answers, *(row.model for row in self.judgments)]
        named += [model for row in self.pairs for model in (row.model_1, row.model_2)]
        return tuple(dict.fromkeys(named))

    @property
    def categories(self) -> dict[int, str]:
        """As the directory's question.jsonl says, or the answers, as this package's do."""
        rows = (answer for answers in self.answers.values() for answer in answers)
        said = {answer.question_id: answer.category for answer in rows if answer.category is not None}
        return self.questions | said

    @property
    def question_ids(self) -> frozenset[int]:
        of_answers = {answer.question_id for answers in self.answers.values() for answer in answers}
        rows: Iterable[Judgment | PairJudgment] = (*self.judgments, *self.pairs)
        return frozenset(of_answers | {row.question_id for row in rows})


def read_sources(directory: Path | None, judgments: Sequence[Path], models: Collection[str] = ()) -> Sources:
    """
    Args:
        directory: an --out directory; None for files alone.
        judgments: files of judgments, read besides.
        models: which to keep; empty for all.

    Raises:
        UserError: there is nothing to report, a file is missing, empty or of another kind, or a model is in none.
    """
    found = Sources()
    if directory is not None:
        _read_directory(directory, found)
    for path in judgments:
        _read_judgments(path, found)
    if unknown := [model for model in models if model not in found.models]:
        raise UserError(f"no answers or judgments of {unknown[0]!r}.{did_you_mean(unknown[0], found.models)}")
    if models:
        found.judgments = [row for row in found.judgments if row.model in models]
        found.pairs = [row for row in found.pairs if row.model_1 in models and row.model_2 in models]
        found.answers = {model: answers for model, answers in found.answers.items() if model in models}
        found.settings = {model: setting for model, setting in found.settings.items() if model in models}
    return found


def categories_of(
    sources: Sources, bench: str | None, questions: Path | None, data_dir: Path | None = None
) -> Mapping[int, str]:
    """Category of each question. Where neither a bench nor a file is named: as the directory's question.jsonl and the
    answers say, or MT-Bench's if all ids are of it; none if they do not tell all.

    Raises:
        UserError: both are named, one cannot be read, or it has none of the questions.
    """
    ids = sources.question_ids
    if bench is not None and questions is not None:
        raise UserError(f"--bench {bench} and --questions {questions}: both say which questions these are; name one")
    if bench is None and questions is None:
        known = sources.categories
        return known if known.keys() >= ids else MT_BENCH_IDS if MT_BENCH_IDS.keys() >= ids else {}
    asked = load_questions(questions) if questions is not None else load_bench(bench or "", data_dir).questions
    if not any(question.question_id in ids for question in asked):
        shown = ", ".join(map(str, sorted(ids)[:3]))
        raise UserError(f"{questions or bench} has none of the questions judged or answered here ({shown} ...)")
    return {question.question_id: question.category for question in asked}


def _read_directory(directory: Path, found: Sources) -> None:
    if not directory.is_dir():
        raise UserError(f"no directory {directory}: give the --out of generate, sweep or judge, or --judgments FILE")
    layout = Layout(directory)
    for model in layout.model_ids():
        path = layout.answers(model)
        if _is_empty(path, found):
            continue
        rows = read_lines(path, ModelAnswer, "FastChat's model_answer", _on_torn_end(path, found))
        found.answers[model] = tuple({row.question_id: row for row in rows}.values())
        if layout.settings(model).exists():
            settings = read_settings(layout.settings(model))
            found.settings[model] = Setting(model, settings.decoding, settings.prompt_set, settings.model.base)
    if (questions := directory / "question.jsonl").is_file():
        found.questions = {question.question_id: question.category for question in load_questions(questions)}
    for path in sorted((directory / "model_judgment").glob("*.jsonl")):
        if not (path.name.endswith(SUPERSEDED) or _is_empty(path, found)):
            _read_judgments(path, found)
    if not (found.answers or found.judgments or found.pairs):
        raise UserError(
            f"{directory} has neither model_answer/*.jsonl nor model_judgment/*.jsonl with rows: run "
            "`ia2-eval mtbench generate` first, or give --judgments FILE"
        )


def _read_judgments(path: Path, found: Sources) -> None:
    if _kind(path) == "single":
        found.judgments += read_judgments(path, _on_torn_end(path, found))
    else:
        found.pairs += read_pair_judgments(path, _on_torn_end(path, found))


def _kind(path: Path) -> Kind:
    """As the first row says."""
    try:
        with path.open(encoding="utf-8") as file:
            line = next((line for line in file if line.strip()), None)
        if line is None:
            raise UserError(f"{path} has no rows (FastChat's model_judgment)")
        row = json.loads(line)
    except OSError as error:
        raise UserError(f"cannot read {path} (FastChat's model_judgment): {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path}, line 1: no JSON; wanted are the rows of a model_judgment file of FastChat") from error
    keys = set(row) if isinstance(row, dict) else set()
    if "g1_winner" in keys:
        return "pair"
    if "score" in keys:
        return "single"
    what = "answers: give the directory that has them in model_answer/" if "choices" in keys else "no judgments"
    raise UserError(f"{path} has {what}; a judgment has `score` (single) or `g1_winner` (pairwise)")


def _is_empty(path: Path, found: Sources) -> bool:
    if path.stat().st_size:
        return False
    found.notes.append(f"{path} is empty")
    return True


def _on_torn_end(path: Path, found: Sources) -> Callable[[], None] | None:
    """None where the last line is whole, with a newline after it or not."""
    last = path.read_bytes().rpartition(b"\n")[2] if path.exists() else b""
    try:
        json.loads(last)
    except ValueError:
        return lambda: found.notes.append(f"{path} ends in the middle of a line, which is left out")
    return None
