"""What decides the outcome of a search: a directory is for one of them."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from ia2_eval.atomic import write_atomically
from ia2_eval.errors import UserError
from ia2_eval.frozen import Frozen, one_line
from ia2_eval.mtbench.bench import Bench
from ia2_eval.mtbench.differences import differences
from ia2_eval.mtbench.generation.answer_settings import PACE
from ia2_eval.mtbench.generation.models import OpenModel
from ia2_eval.mtbench.prompts.prompt_set import PromptSet
from ia2_eval.mtbench.search.data import SearchData
from ia2_eval.mtbench.search.recipe import SearchRecipe
from ia2_eval.mtbench.writing import writing

FREE = {
    "recipe": {
        "name": True,
        "greedy_sizes": True,
        "model": {"model_args": PACE},
        "scorer": {
            "judge": {"api_key_variable", "backoff", "cache", "concurrency", "price_in", "price_out"}
            | {"requests_per_minute", "retries", "timeout"}
        },
    }
}
"""What may change in a directory: it changes no score and no choice."""


class Conditions(Frozen):
    """Content of `search_settings.json`."""

    recipe: SearchRecipe
    model_fingerprint: str
    start_sha256: str
    pool_sha256: str
    dev_sha256: str
    held_out_sha256: str
    judge_endpoint: str | None = None
    bench_sha256: str | None = None

    @classmethod
    def of(
        cls, recipe: SearchRecipe, model: OpenModel, start: PromptSet, data: SearchData, bench: Bench | None
    ) -> Conditions:
        judge = recipe.scorer.judge
        return cls(
            recipe=recipe,
            model_fingerprint=model.fingerprint,
            start_sha256=start.sha256,
            **{f"{name}_sha256": sha256 for name, sha256 in data.fingerprints.items()},
            judge_endpoint=judge.endpoint if judge else None,
            bench_sha256=bench.sha256 if bench else None,
        )


def settle(path: Path, conditions: Conditions) -> None:
    """Write the conditions down, or see that they are those of the directory's earlier run.

    Raises:
        UserError: they are others; what differs is named. Or the file is damaged, or cannot be written.
    """
    if path.exists():
        try:
            before = Conditions.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise UserError(f"{path} is damaged ({one_line(error)}): give another --out") from error
        if changed := differences(before, conditions, FREE):
            raise UserError("\n  ".join(["--out holds a search under other conditions; give another --out:", *changed]))
    with writing(path):
        write_atomically(path, (conditions.model_dump_json(indent=1) + "\n").encode())
