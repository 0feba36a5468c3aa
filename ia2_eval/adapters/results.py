"""Results as lm-eval writes them, `results_*.json` and `samples_*.jsonl`, in a directory for each adapter."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

OURS = "ia2_eval"
"""Key of the results file under which stands what this package adds: `identity`, what decided the results, and
`ece_n`, by task, of how many examples the ECE is: those with an answer. The other keys are lm-eval's."""


def find_results(
    directory: Path, identity: dict[str, Any], groups: Mapping[str, Collection[str]]
) -> tuple[dict[str, Any], set[str]]:
    """The newest results of every task, from whatever evaluations of this identity there are with their samples.

    Args:
        directory: of the adapter.
        identity: of the results; those of another are none, but where only other tasks are in it.
        groups: tasks of each group.

    Returns:
        `results`, `n-samples`, `configs` and `OURS` as one evaluation would give them, and the tasks that lack results.
        A group whose own numbers are in no file makes all of its tasks lack theirs.
    """
    tasks = identity["tasks"]
    found: dict[str, dict[str, Any]] = {part: {} for part in ("results", "n-samples", "configs", "ece_n")}
    for path in sorted(directory.glob("results_*.json"), reverse=True):
        date = path.stem.removeprefix("results_")
        try:
            content: dict[str, Any] = json.loads(path.read_bytes())
            theirs = content[OURS]["identity"]
            if {**theirs, "tasks": None} != {**identity, "tasks": None}:
                continue
            parts = {**content, "ece_n": content[OURS]["ece_n"]}
            there = {
                name
                for name in tasks.keys() & content["configs"].keys()
                if theirs["tasks"][name] == tasks[name] and (directory / f"samples_{name}_{date}.jsonl").is_file()
            }
            names = there | {group for group in groups if there.issuperset(groups[group])}
            newest = {part: {name: parts[part][name] for name in names if name in parts[part]} for part in found}
        except (OSError, ValueError, KeyError, TypeError):
            continue  # damaged, or of another making: what is missing is evaluated again
        found = {part: newest[part] | found[part] for part in found}
    results = {name: found["results"][name] for name in (*groups, *tasks) if name in found["results"]}
    missing = {name for name in tasks if name not in results}
    missing.update(name for group, members in groups.items() if group not in results for name in members)
    merged = {part: found[part] for part in ("n-samples", "configs")}
    return {"results": results, **merged, OURS: {"ece_n": found["ece_n"]}}, missing


def write_results(
    directory: Path, identity: dict[str, Any], results: dict[str, Any], samples: dict[str, list[Any]]
) -> dict[str, Any]:
    """Write what an evaluation gave, through lm-eval's own tracker; every file appears whole, the results last.

    Args:
        directory: of the adapter.
        identity: of the results.
        results: as `simple_evaluate` gives them, without samples.
        samples: by task.

    Returns:
        The results with what was added to them.

    Raises:
        OSError: they cannot be written.
    """
    from lm_eval.loggers import EvaluationTracker

    counts = {task: sum("ece" in sample for sample in rows) for task, rows in samples.items()}
    results = {**results, OURS: {"identity": identity, "ece_n": counts}}
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory, prefix=".partial-") as partial:
        # A path that ends in .json makes lm-eval write beside it, and not into a directory named after the model.
        tracker = EvaluationTracker(output_path=str(Path(partial) / "results.json"))
        config = results["config"]
        tracker.general_config_tracker.log_experiment_args(config["model"], config["model_args"], None, None, False)
        tracker.save_results_aggregated(results, samples)
        for task in results["configs"]:
            tracker.save_results_samples(task, samples[task])
        files = sorted(Path(partial).iterdir(), key=lambda file: file.name.startswith("results_"))
        if len(files) != 1 + len(results["configs"]):  # the tracker only logs what goes wrong
            raise OSError(f"lm-eval could not write all results to {str(directory)!r}: is the disk full?")
        for file in files:
            file.replace(directory / file.name)
    return results
