"""A bench: questions, the prompts of the judge, and the reference answers that it is given."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Any

from pydantic import BaseModel, ConfigDict

from ia2_eval.benchmarks.load import existing_data_directory
from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.mtbench.answers import read_answers
from ia2_eval.mtbench.downloads import MT_BENCH_FILES, download
from ia2_eval.mtbench.questions import Question, load_questions, read_lines

MT_BENCH = "mt_bench"
TRIAL = "trial"
TRIAL_DIRECTORY = Path(__file__).parent / "trial"
"""Questions, judge prompts and references of our own wording, for trials without a download."""

_TURN_2 = {"question_1", "question_2"}
_REFERENCES = {"ref_answer_1", "ref_answer_2"}
_SINGLE_2 = _TURN_2 | {"answer_1", "answer_2"}
_PAIR_2 = _TURN_2 | {"answer_a_1", "answer_a_2", "answer_b_1", "answer_b_2"}

SLOTS: Mapping[str, frozenset[str]] = {
    "single-v1": frozenset({"question", "answer"}),
    "single-math-v1": frozenset({"question", "answer", "ref_answer_1"}),
    "single-v1-multi-turn": frozenset(_SINGLE_2),
    "single-math-v1-multi-turn": frozenset(_SINGLE_2 | _REFERENCES),
    "pair-v2": frozenset({"question", "answer_a", "answer_b"}),
    "pair-math-v1": frozenset({"question", "answer_a", "answer_b", "ref_answer_1"}),
    "pair-v2-multi-turn": frozenset(_PAIR_2),
    "pair-math-v1-multi-turn": frozenset(_PAIR_2 | _REFERENCES),
}
"""What FastChat fills in, for each judge prompt (`run_judge_single`, `play_a_match_pair`)."""


@dataclass(frozen=True)
class Bench:
    """What models are asked, and what the judge is told."""

    name: str
    questions: tuple[Question, ...]
    judge_prompts: Mapping[str, Mapping[str, Any]]
    """FastChat's rows, by name."""
    references: Mapping[int, Mapping[str, Any]]
    """FastChat's model_answer rows, by question."""
    reference_source: str
    """Whose the reference answers are, and the name of their file."""
    sha256: str
    """Of everything above but the names."""


class _JudgePrompt(BaseModel):
    """A row of FastChat's judge_prompts.jsonl."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str
    type: str
    system_prompt: str
    prompt_template: str
    description: str = ""
    category: str = ""
    output_format: str


def load_bench(name: str = MT_BENCH, data_dir: Path | None = None, references: Path | None = None) -> Bench:
    """A bench by name.

    Args:
        name: `mt_bench` (the folder of that name in the local data, else a checksummed download), `trial` (shipped), or
            a directory in FastChat's layout: question.jsonl, judge_prompts.jsonl there or one up, and
            reference_answer/gpt-4.jsonl or reference_answer_gpt-4.jsonl.
        data_dir: local data; None for the directory in `IA2_DATA_DIR`, if any.
        references: reference answers to use instead, rows of FastChat's model_answer. Of the published ones by gpt-4,
            13 of 30 are known to be wrong (FastChat, pull request 3158).

    Raises:
        UserError: no such bench, a file that is missing or broken, or the download failed. All faults are listed.
    """
    directory = _directory(name, data_dir)
    prompts_path = _first_file(directory, ("judge_prompts.jsonl", "../judge_prompts.jsonl"))
    references = references or _reference_file(directory)
    questions = load_questions(directory / "question.jsonl")
    rows = read_lines(prompts_path, _JudgePrompt, "FastChat's judge_prompts.jsonl")
    judge_prompts = {row.name: row.model_dump(mode="json", exclude_unset=True) for row in rows}
    answers = {answer.question_id: answer for answer in read_answers(references)}
    turns = {question: answer.choices[0].turns for question, answer in answers.items()}
    faults = [
        *(f"{prompts_path}: {fault}" for fault in _prompt_faults(judge_prompts)),
        *(f"{directory / 'question.jsonl'}: {fault}" for fault in _question_faults(questions)),
        *(f"{references}: {fault}" for fault in _reference_faults(questions, turns)),
    ]
    if faults:
        raise UserError("\n".join([f"the bench {name!r} cannot be used:", *(f"  {fault}" for fault in faults)]))
    reference_rows = {
        question: answer.model_dump(mode="json", exclude_unset=True) for question, answer in answers.items()
    }
    authors = sorted({answer.model_id for answer in answers.values()})
    return Bench(
        name=name,
        questions=questions,
        judge_prompts=judge_prompts,
        references=reference_rows,
        reference_source=f"{', '.join(authors)} ({references.name})",
        sha256=_sha256(questions, judge_prompts, turns),
    )


def _directory(name: str, data_dir: Path | None) -> Path:
    if name == TRIAL:
        return TRIAL_DIRECTORY
    if name == MT_BENCH:
        local = existing_data_directory(data_dir)
        if local is not None and (local / MT_BENCH).is_dir():
            return local / MT_BENCH
        questions, *_ = [download(file) for file in MT_BENCH_FILES]
        return questions.parent
    if Path(name).is_dir():
        return Path(name)
    known = did_you_mean(name, (MT_BENCH, TRIAL))
    raise UserError(f"there is no bench {name!r}, and no directory of that name.{known}")


def _first_file(directory: Path, names: Sequence[str]) -> Path:
    found = next((directory / name for name in names if (directory / name).is_file()), None)
    if found is None:
        raise UserError(f"{directory} has no {' or '.join(names)}; FastChat's layout is needed")
    return found


def _reference_file(directory: Path) -> Path:
    if directory == TRIAL_DIRECTORY:
        return directory / "reference_answer" / "trial.jsonl"
    return _first_file(directory, ("reference_answer/gpt-4.jsonl", "reference_answer_gpt-4.jsonl"))


def _prompt_faults(prompts: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    if missing := [name for name in SLOTS if name not in prompts]:
        yield f"there is no judge prompt {', '.join(missing)}"
    for name, row in prompts.items():
        if name not in SLOTS:
            continue  # FastChat's file may carry others, which nothing asks for
        try:
            slots = {slot for _, slot, _, _ in Formatter().parse(row["prompt_template"]) if slot is not None}
        except ValueError as error:
            yield f"{name}: the template is broken: {error}; write {{{{ and }}}} for braces"
            continue
        if lacking := SLOTS[name] - slots:
            yield f"{name}: the template lacks {_slots(lacking)}"
        if unknown := slots - SLOTS[name]:
            yield f"{name}: the template has {_slots(unknown)}, which nothing fills in; write {{{{ and }}}} for braces"
        expected = "[[rating]]" if name.startswith("single") else "[[A]]"
        if row["output_format"] != expected:
            yield f"{name}: output_format is {row['output_format']!r}, must be {expected!r}"


def _slots(names: Iterable[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(names))


def _question_faults(questions: Sequence[Question]) -> Iterator[str]:
    for question in questions:
        if len(question.turns) > 2:
            yield f"the question {question.question_id} has {len(question.turns)} turns; the judge sees two at most"


def _reference_faults(questions: Sequence[Question], references: Mapping[int, Sequence[str]]) -> Iterator[str]:
    needed = [question for question in questions if question.needs_reference]
    if missing := [str(question.question_id) for question in needed if question.question_id not in references]:
        yield f"there is no reference answer to {', '.join(missing)} (math, reasoning and coding need one)"
    for question in needed:
        given = len(references.get(question.question_id, question.turns))
        if given < len(question.turns):
            yield f"the reference to {question.question_id} has {given} turns, the question {len(question.turns)}"


def _sha256(questions: Sequence[Question], prompts: Mapping[str, Any], references: Mapping[int, Sequence[str]]) -> str:
    content = [
        [question.model_dump(mode="json") for question in questions],
        [prompts[name] for name in sorted(SLOTS)],
        [[question, list(references[question])] for question in sorted(references)],
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
