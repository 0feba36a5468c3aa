"""Files as lm-eval 0.4.13 writes them, with known numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import log
from pathlib import Path
from typing import Any


def task(benchmark: str, source: str | None = None, **metadata: Any) -> dict[str, Any]:
    """The metadata of a task of this package."""
    return {"version": 1, "ia2_eval": benchmark, "ia2_source": source or benchmark, **metadata}


def write_results(
    folder: Path,
    tasks: Mapping[str, tuple[Mapping[str, Any] | None, Mapping[str, Any]]],
    *,
    shots: int = 0,
    n: int = 4,
    original: int = 200,
    time: str = "2026-01-01T00-00-00.000000",
    date: float = 1767225600.0,
    name: str = "results_{}.json",
    samples: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    model_args: Mapping[str, Any] | str = "pretrained=org/model,dtype=float32",
    **others: Any,
) -> Path:
    """Writes one file of results, and files of samples; gives the former.

    Args:
        folder: to write to.
        tasks: by name the metadata, None for a group, and the metrics.
        shots, n, original: of every task.
        time: in the names of the files.
        date: when it was, in seconds.
        name: of the file.
        samples: rows by task.
        model_args: of the model.
        others: of `config` where the file has them there, else of the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    own = {key: others.pop(key) for key in ("limit", "model_sha", "model_dtype", "gen_kwargs") if key in others}
    of_tasks = [name for name, (metadata, _) in tasks.items() if metadata is not None]
    content = {
        "results": {name: {"alias": name, **metrics} for name, (_, metrics) in tasks.items()},
        "configs": {name: {"task": name, "metadata": tasks[name][0]} for name in of_tasks},
        "versions": dict.fromkeys(of_tasks, 1),
        "n-shot": dict.fromkeys(of_tasks, shots),
        "n-samples": {name: {"original": original, "effective": n} for name in of_tasks},
        "config": {"model": "hf", "model_args": model_args, "limit": None, "device": "cpu", **own},
        "git_hash": "abc1234",
        "date": date,
        "lm_eval_version": "0.4.13",
        "total_evaluation_time_seconds": "1.5",
        **others,
    }
    path = folder / name.format(time)
    path.write_text(json.dumps(content), encoding="utf-8")
    for task_name, rows in (samples or {}).items():
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"samples_{task_name}_{time}.jsonl").write_text(lines, encoding="utf-8")
    return path


def label_row(
    number: int, gold: int, confidence: float, label: int, published: tuple[float, int] | None = None
) -> dict[str, Any]:
    """Of a task with the labels 0 and 1: the model gives `label` this probability."""
    told = [log(confidence if i == label else 1 - confidence) for i in (0, 1)]
    row = {
        "doc_id": number,
        "doc": {"prompt": f"query {number}", "answer": str(gold), "choices": ["0", "1"], "gold": gold},
        "target": str(gold),
        "arguments": {f"gen_args_{i}": {"arg_0": f"shown\n\nquery {number}", "arg_1": str(i)} for i in (0, 1)},
        "filtered_resps": [[str(told[i]), str(i == label)] for i in (0, 1)],
        "filter": "none",
        "acc": int(label == gold),
    }
    return row if published is None else row | {"ece_published": list(published), "acc_published": published[1]}


def text_row(number: int, text: str, gold: str, ece: tuple[float, int] | None = None) -> dict[str, Any]:
    row = {
        "doc_id": number,
        "doc": {"prompt": f"query {number}", "answer": gold, "choices": [], "gold": -1},
        "arguments": {"gen_args_0": {"arg_0": f"query {number}", "arg_1": {"until": []}}},
        "filtered_resps": [text],
        "filter": "none",
    }
    return row if ece is None else row | {"ece": list(ece)}
