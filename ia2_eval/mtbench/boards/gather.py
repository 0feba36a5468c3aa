"""The answers and judgments of several directories, as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from ia2_eval.errors import UserError
from ia2_eval.mtbench.generation.answer_settings import AnswerSettings, read_settings
from ia2_eval.mtbench.layout import Layout
from ia2_eval.mtbench.reports.sources import MT_BENCH_IDS, Sources, read_sources

MT_BENCH = "mt_bench"
UNKNOWN_BENCH = "unknown questions"


@dataclass(frozen=True)
class Gathered:
    """What was read. A model is named by its id, with the directory behind it where that does not tell it apart."""

    sources: Mapping[str, Sources]
    """By bench; models of different benches answered different questions and never stand together."""
    settings: Mapping[str, AnswerSettings]
    """By model; of those whose answers this package made."""
    ids: Mapping[str, str]
    """By model: its id in the files."""
    notes: tuple[str, ...]


def gather(directories: Sequence[Path]) -> Gathered:
    """
    Raises:
        UserError: a directory has neither answers nor judgments, or a file in it cannot be used.
    """
    found = {directory: _read(directory) for directory in _distinct(directories)}
    names = _names(found)
    settings = {
        names[directory, model]: read_settings(path)
        for directory, sources in found.items()
        for model in sources.answers
        if (path := Layout(directory).settings(model)).exists()
    }
    ids = {name: model for (_, model), name in names.items()}
    benches: dict[str, Sources] = {}
    for directory, sources in found.items():
        rated = [row.model for row in sources.judgments]
        for model in dict.fromkeys([*sources.answers, *rated]):
            name = names[directory, model]
            bench = _bench(model, sources, settings.get(name))
            into = benches.setdefault(bench, Sources())
            _add(into, sources, model, name)
            into.questions |= sources.questions
    notes = [note for sources in found.values() for note in sources.notes]
    if pairs := sum(len(sources.pairs) for sources in found.values()):
        notes.append(f"{pairs} pairwise judgments are on no board: `ia2-eval mtbench report` shows them")
    return Gathered({bench: benches[bench] for bench in sorted(benches)}, settings, ids, tuple(notes))


def _distinct(directories: Sequence[Path]) -> list[Path]:
    return list({directory.resolve(): directory for directory in directories}.values())


def _read(directory: Path) -> Sources:
    if not any(directory.glob("model_answer/*.jsonl")) and not any(directory.glob("model_judgment/*.jsonl")):
        raise UserError(
            f"{directory} is no MT-Bench directory: it has neither model_answer/*.jsonl nor model_judgment/*.jsonl. "
            "Give the --out of `ia2-eval mtbench` generate, sweep, judge or compare"
        )
    return read_sources(directory, ())


def _names(found: Mapping[Path, Sources]) -> dict[tuple[Path, str], str]:
    """Of each model of each directory. Equal answers under one id are those of one model; others, and judgments without
    their answers, are told apart by the directory."""
    short = Counter(directory.resolve().name for directory in found)
    labels = {d: d.resolve().name if short[d.resolve().name] == 1 else str(d) for d in found}
    by_model: dict[str, dict[Path, object]] = {}
    for directory, sources in found.items():
        for model in sources.models:
            by_model.setdefault(model, {})[directory] = _texts(sources, model) or directory
    return {
        (directory, model): model if len(set(said.values())) == 1 else f"{model} ({labels[directory]})"
        for model, said in by_model.items()
        for directory in said
    }


def _texts(sources: Sources, model: str) -> frozenset[tuple[object, ...]]:
    return frozenset(
        (answer.question_id, *((choice.index, choice.turns) for choice in answer.choices))
        for answer in sources.answers.get(model, ())
    )


def _bench(model: str, sources: Sources, settings: AnswerSettings | None) -> str:
    if settings is not None and settings.bench is not None:
        return PurePath(settings.bench).name
    ids = {answer.question_id for answer in sources.answers.get(model, ())}
    ids |= {row.question_id for row in sources.judgments if row.model == model}
    return MT_BENCH if ids and ids <= MT_BENCH_IDS.keys() else UNKNOWN_BENCH


def _add(into: Sources, sources: Sources, model: str, name: str) -> None:
    """A model's answers and judgments; a copy of what is there already counts once."""
    if model in sources.answers:
        into.answers[name] = sources.answers[model]
    if model in sources.settings:
        into.settings[name] = sources.settings[model]._replace(model_id=name)
    there = {row.model_dump_json() for row in into.judgments if row.model == name}
    renamed = [row.model_copy(update={"model": name}) for row in sources.judgments if row.model == model]
    into.judgments += [row for row in renamed if row.model_dump_json() not in there]
