"""What lm-eval evaluated: a base, or an adapter on it, of which the run that trained it may be known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import NamedTuple, get_args

from ia2_eval.experiments.record import Record, parse_record
from ia2_eval.leaderboard.results.lm_eval_content import LmEvalResults
from ia2_eval.leaderboard.style import KNOWN
from ia2_eval.lm.base_model import Base, short_name

DTYPES: tuple[str, ...] = get_args(Base.model_fields["dtype"].annotation)
MODELS = ("pretrained", "model", "path", "engine")
"""Arguments that name a model, as lm-eval looks for them."""


class Subject(NamedTuple):
    base: Base
    adapter: str | None
    """Its name; None for the base alone."""
    origin: Record | None
    """Of the run that trained the adapter, where its directory still lies in that run."""
    dtype_known: bool


def subject_of(content: LmEvalResults, adapter: str | None) -> Subject:
    """
    Args:
        content: a file of results.
        adapter: its name, see `names_of_adapters`.
    """
    arguments, config = content.arguments, content.config
    dtype = (config.model_dtype or arguments.get("dtype", "")).removeprefix("torch.")
    model = next((arguments[name] for name in MODELS if name in arguments), config.model or "model")
    asked = [
        *(["chat template"] if content.chat_template_sha else []),
        *(["system instruction"] if content.system_instruction_sha else []),
        *([f"delta {arguments['delta']}"] if "delta" in arguments else []),
        *([f"gen_kwargs {config.gen_kwargs}"] if config.gen_kwargs else []),
    ]
    fingerprint = config.model_sha or ""
    if asked:  # another model in all but name
        model = f"{short_name(model)} ({', '.join(asked)})"
        fingerprint = ""
    base = Base.model_validate(
        {
            "model": model,
            "revision": arguments.get("revision"),
            "dtype": dtype if dtype in DTYPES else "float32",
            "fingerprint": fingerprint,
        }
    )
    origin = _origin(Path(arguments["peft"])) if "peft" in arguments and not asked else None
    return Subject(base, adapter, origin, dtype in DTYPES)


def names_of_adapters(contents: Mapping[Path, LmEvalResults]) -> dict[Path, str]:
    """The name of the adapter behind each file of results: that of its folder, or all of its path where two folders
    have the same name. `ia2-eval evaluate` calls the folder of the results so, whatever the adapter's is called."""
    given = {path: content.arguments["peft"] for path, content in contents.items() if "peft" in content.arguments}
    folders: dict[str, set[str]] = defaultdict(set)
    for adapter in given.values():
        folders[PurePath(adapter).name].add(adapter)
    names = {}
    for path, adapter in given.items():
        name = PurePath(adapter).name
        if contents[path].ia2_eval is not None:
            name = path.parent.name
        elif len(folders[name]) > 1:
            name = adapter
        names[path] = f"adapter {name}" if name in KNOWN else name
    return names


def _origin(adapter: Path) -> Record | None:
    """The record of a run that an adapter `RUN/adapters/KEY` lies in."""
    try:
        path = adapter.parent.parent / "records" / f"{adapter.name}.json"
        record = parse_record(path.read_bytes(), path.stem)
    except (OSError, ValueError):
        return None
    return record if record.cell.trained and record.training is not None else None
