"""Results as lm-eval writes them, `results_*.json` and `samples_*.jsonl`, in a directory for each adapter."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

OURS = "ia2_eval"
"""Key of the results file under which stands what this package adds: `identity`, what decided the results, and
`ece_n`, by task, of how many examples the ECE is: those with an answer. The other keys are lm-eval's."""


def find_results(directory: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """The newest results of this identity, if they are there with their samples."""
    for path in sorted(directory.glob("results_*.json"), reverse=True):
        try:
            results: dict[str, Any] = json.loads(path.read_bytes())
            same = results[OURS]["identity"] == identity
        except (OSError, ValueError, KeyError, TypeError):
            continue  # damaged, or of another making: what is missing is evaluated again
        date = path.stem.removeprefix("results_")
        if same and all((directory / f"samples_{task}_{date}.jsonl").is_file() for task in results["configs"]):
            return results
    return None


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
