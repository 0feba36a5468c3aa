"""What decides the outcome of a search: a directory is for one of them."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from ia2_eval.atomic import write_atomically
from ia2_eval.errors import UserError
from ia2_eval.frozen import Frozen, one_line
from ia2_eval.mtbench.bench import Bench
from ia2_eval.mtbench.generation.models import OpenModel
from ia2_eval.mtbench.prompts.prompt_set import PromptSet
from ia2_eval.mtbench.search.data import SearchData
from ia2_eval.mtbench.search.recipe import SearchRecipe

CARRIED_OUT = frozenset(
    {"api_key_variable", "backoff", "cache", "concurrency", "price_in", "price_out"}
    | {"requests_per_minute", "retries", "timeout"}
)
"""Settings of the judge that change no judgment."""
SHOWN = 120
"""Characters of a value in a message."""


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

    def differences(self, other: Conditions) -> list[str]:
        """What differs, such as `recipe.rounds: 2 -> 3`."""
        before, now = _flat(self.model_dump(mode="json")), _flat(other.model_dump(mode="json"))
        return [
            f"{name}: {before.get(name, '-')} -> {now.get(name, '-')}"
            for name in before | now
            if before.get(name) != now.get(name) and name.rpartition(".")[2] not in CARRIED_OUT
        ]


def settle(path: Path, conditions: Conditions) -> None:
    """Write the conditions down, or see that they are those of the directory's earlier run.

    Raises:
        UserError: they are others; what differs is named. Or the file is damaged.
    """
    if path.exists():
        try:
            before = Conditions.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise UserError(f"{path} is damaged ({one_line(error)}): give another --out") from error
        if differences := before.differences(conditions):
            raise UserError(
                "\n  ".join(["--out holds a search under other conditions; give another --out:", *differences])
            )
    write_atomically(path, (conditions.model_dump_json(indent=1) + "\n").encode())


def _flat(content: object, prefix: str = "") -> dict[str, str]:
    if not isinstance(content, dict):
        line = json.dumps(content)
        return {prefix: line if len(line) <= SHOWN else f"{line[: SHOWN - 3]}..."}
    flat: dict[str, str] = {}
    for name, value in content.items():
        flat |= _flat(value, f"{prefix}.{name}" if prefix else name)
    return flat
