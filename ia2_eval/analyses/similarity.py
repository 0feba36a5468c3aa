"""Similarity of the activations of trained models to those of in-context learning, run by run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from ia2_eval.analyses.similarity_rows import Mode, Run, Similarities, own_mode
from ia2_eval.analyses.students import Place, Student
from ia2_eval.benchmarks import (
    draw_training_set,
    get_benchmark,
    joint_fingerprint,
    load_benchmark,
    per_query_demonstrations,
)
from ia2_eval.errors import UserError
from ia2_eval.experiments.store import Store
from ia2_eval.leaderboard.results.groups import evaluation_on
from ia2_eval.leaderboard.results.headline import headline
from ia2_eval.lm.base_model import Base, BaseFiles, BaseModel, load, locate, use_threads_for
from ia2_eval.scoring.answers import response_end

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from ia2_eval.analyses.teacher_student import Teacher

HUB_COMMIT = 40
"""Digits of a hub commit; the fingerprint of local files has 64."""


@dataclass(frozen=True)
class SimilaritySettings:
    """What is compared, and how that is carried out."""

    limit: int = 100
    """Evaluation examples, the first ones; 100 as published."""
    modes: tuple[Mode, ...] = ()
    """None given: that of each protocol."""
    out_of_distribution: bool = False
    """Whether the out-of-distribution partners of a source are compared too."""
    base: str | None = None
    """Where the base model is, if not where the records say."""
    data_dir: Path | None = None
    device: str | None = None
    batch_size: int = 32


def measure_similarities(
    run_directory: Path,
    places: dict[Place, list[Student]],
    settings: SimilaritySettings,
    advance: Callable[[Place], None],
) -> Similarities:
    """Compare every student with its teacher; `advance` is called after each place.

    Raises:
        UserError: base or data are not those of the records; nothing has been measured.
    """
    for students in places.values():
        for student in students[1:]:
            _require_same_data(student, settings.data_dir)
    located = {base: locate_recorded(base, settings.base) for base in dict.fromkeys(place.base for place in places)}
    found = Similarities()
    for base, files in located.items():
        loaded = load(files, settings.device)
        use_threads_for(loaded.model)
        for place, students in places.items():
            if place.base == base:
                _measure_place(Store(run_directory), loaded, place, students, settings, found)
                advance(place)
    return found


def locate_recorded(base: Base, instead: str | None) -> BaseFiles:
    """The files of the base of some records, at another place if one is given.

    Raises:
        UserError: they are not there, or not the same.
    """
    if instead is not None:
        return _locate_instead(base, instead)
    if len(base.fingerprint) == HUB_COMMIT:
        base = base.model_copy(update={"revision": base.fingerprint})  # whatever its branch points to today
    try:
        return locate(base)
    except UserError as error:
        raise UserError(f"the base of these records: {error}. Give its place with --base.") from error


def _locate_instead(base: Base, instead: str) -> BaseFiles:
    try:
        files = locate(base.model_copy(update={"model": instead, "revision": None, "fingerprint": ""}))
    except UserError as error:
        raise UserError(f"--base {instead}: {error}") from error
    if files.base.fingerprint != base.fingerprint:
        raise UserError(
            f"--base {instead} is another model than the base of these records: its fingerprint is "
            f"{files.base.fingerprint!r}, not {base.fingerprint!r}. Give the place of the very files."
        )
    return files


def _require_same_data(student: Student, data_dir: Path | None) -> None:
    assert student.record is not None
    cell = student.record.cell
    if joint_fingerprint(load_benchmark(name, data_dir) for name in (cell.source, *cell.evals)) != cell.data:
        raise UserError(
            f"the examples of {cell.source} or its evaluation sets are not those that its records were made with. "
            "Give their directory with --data-dir."
        )


def _measure_place(
    store: Store,
    base: BaseModel,
    place: Place,
    students: Sequence[Student],
    settings: SimilaritySettings,
    found: Similarities,
) -> None:
    from ia2_eval.analyses.stored_adapter import stored_adapter

    teachers: dict[str, Teacher] = {}
    for name in students[0].evals:  # which are those of all
        try:
            teachers[name] = _teacher(base, place, name, settings)
        except (ValueError, UserError) as error:
            found.faults.append(f"{place.label}, in context on {name}: {error}")
    for student in students:
        adapter = store.adapter_path(student.record.key) if student.record and student.adapter else None
        merged = place.protocol == "paper"
        try:
            with stored_adapter(base.model, adapter, merged) if adapter else nullcontext(base.model) as model:
                for name in student.evals:
                    if name in teachers:
                        _measure(model, teachers[name], place, student, name, settings, found)
        except Exception as error:  # one that cannot be loaded must not keep the others from being measured
            stored = f"adapters/{adapter and adapter.name}"
            found.faults.append(f"{_label(place, student)}, {stored}: {type(error).__name__}: {error}")


def _label(place: Place, student: Student) -> str:
    """Of the cell; of the base, the place of its teacher too, as its own cell has no seed."""
    return student.record.cell.label if student.record and student.adapter else f"{place.label}: no_icl"


def _teacher(base: BaseModel, place: Place, name: str, settings: SimilaritySettings) -> Teacher:
    """The base with D_T(N, seed) as in-context learning shows it under the protocol, on the first examples of a set."""
    from ia2_training import TrainingExample

    from ia2_eval.analyses.teacher_student import Teacher

    source = load_benchmark(place.source, settings.data_dir)
    queries = load_benchmark(name, settings.data_dir).evaluation[: settings.limit]
    drawn = draw_training_set(source, place.n, place.seed)
    shown = (
        per_query_demonstrations(source, drawn, len(queries))
        if place.protocol == "paper"
        else [drawn.demonstrations] * len(queries)
    )
    return Teacher(
        base.model,
        base.tokenizer,
        [
            TrainingExample(query.prompt, query.answer, tuple(demonstration.text for demonstration in demonstrations))
            for query, demonstrations in zip(queries, shown, strict=True)
        ],
        max_new_tokens=place.tokens,
        answer_end=response_end(get_benchmark(name).answer_format, place.protocol),
        batch_size=settings.batch_size,
    )


def _measure(
    model: PreTrainedModel | PeftModel,
    teacher: Teacher,
    place: Place,
    student: Student,
    name: str,
    settings: SimilaritySettings,
    found: Similarities,
) -> None:
    from ia2_eval.analyses.cosine import average

    cell = student.record.cell if student.record else None
    evaluation = evaluation_on(student.record, name) if student.record else None
    for mode in settings.modes or (own_mode(place.protocol),):
        run = Run(
            base=place.base_label,
            adapter=student.adapter,
            protocol=place.protocol,
            source=place.source,
            eval=name,
            N=place.n,
            seed=place.seed,
            method=cell.method if cell else "no_icl",
            variant=cell.variant if cell else "",
            learning_rate=cell.learning_rate if cell else None,
            key=student.record.key if student.record else "",
            mode=mode,
        )
        grids = teacher.free_running(model) if mode == "free_running" else teacher.teacher_forced(model)
        averages = average(grids)
        if not isfinite(averages.overall):  # a mean over everything, which one NaN makes NaN
            found.faults.append(
                f"{_label(place, student)} on {name}, {mode}: left out, its similarity is not a number. Training "
                f"diverged, or the activations are too large for {place.base.dtype}."
            )
            continue
        found.add(
            run,
            averages,
            len(grids),
            headline(place.protocol, get_benchmark(name).single_token, student.published),
            evaluation.metrics if evaluation else {},
        )
