"""Which base stored adapters were made for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ia2_eval.adapters.stored import StoredAdapter
from ia2_eval.errors import UserError
from ia2_eval.lm.base_model import FILES, BaseFiles

HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w.-]+")
COMMIT = re.compile(r"[0-9a-f]{40}")


def stored_dtype(adapters: Sequence[StoredAdapter]) -> str:
    """The precision of the base in the adapters' runs; float32 where they know none or several."""
    (dtype, *others) = {adapter.cell.base.dtype for adapter in adapters if adapter.cell} or {"float32"}
    return "float32" if others else dtype


def stored_revision(base: str, adapters: Sequence[StoredAdapter]) -> str | None:
    """The commit of a hub model that the adapters' runs had; None where they had another model, or not one commit."""
    commits = {
        adapter.cell.base.fingerprint for adapter in adapters if adapter.cell and adapter.cell.base.model == base
    }
    only = commits.pop() if len(commits) == 1 else ""
    return only if COMMIT.fullmatch(only) else None


def require_base(adapters: Sequence[StoredAdapter], files: BaseFiles) -> None:
    """
    Raises:
        UserError: an adapter was trained on another base than this one.
    """
    given = files.base
    others = [
        adapter
        for adapter in adapters
        if adapter.cell
        and adapter.cell.base.fingerprint != given.fingerprint
        and _comparable(adapter.cell.base.fingerprint, given.fingerprint)
    ]
    if others:
        assert others[0].cell
        theirs = others[0].cell.base
        raise UserError(
            f"{len(others)} of {len(adapters)} adapters were trained on another base, the first is "
            f"{str(others[0].directory)!r}: its run had {theirs.model!r} (fingerprint {theirs.fingerprint}), and "
            f"--base {given.model!r} has the fingerprint {given.fingerprint}. Give the base of the run"
        )


def _comparable(one: str, other: str) -> bool:
    """A local copy of a hub model has a hash of its files for a fingerprint, and no commit."""
    return bool(COMMIT.fullmatch(one)) == bool(COMMIT.fullmatch(other))


def require_tokenizer(files: BaseFiles) -> None:
    """
    Raises:
        UserError: the base has none, as a fully trained model of a run.
    """
    names = {path.name for pattern in FILES for path in files.directory.glob(pattern)}
    if not any(name.startswith(("tokenizer", "vocab", "spiece")) or name.endswith(".model") for name in names):
        raise UserError(
            f"--base {files.base.model!r} holds no tokenizer: copy the tokenizer's files (tokenizer*.json) of the "
            "model that it was trained from into it"
        )


def remarks(adapters: Sequence[StoredAdapter], files: BaseFiles) -> Iterator[str]:
    """What should be known of the adapters' bases and is no reason to stop, one line each."""
    dtypes = sorted({adapter.cell.base.dtype for adapter in adapters if adapter.cell} - {files.base.dtype})
    if dtypes:
        yield f"note: trained with the base in {' and '.join(dtypes)}, evaluated in {files.base.dtype} (--dtype)"
    unknown = {
        adapter.cell.base.model
        for adapter in adapters
        if adapter.cell and not _comparable(adapter.cell.base.fingerprint, files.base.fingerprint)
    }
    for model in sorted(unknown):
        yield f"warning: trained on {model!r}, which cannot be told from --base {files.base.model!r} by a fingerprint"
    here = f"{files.base.model} {files.directory.resolve()}".lower()
    for adapter in adapters:
        theirs = str(adapter.configuration.get("base_model_name_or_path") or "")
        if adapter.cell or not HUB_NAME.fullmatch(theirs) or Path(theirs).exists():
            continue
        if theirs.rpartition("/")[2].lower() not in re.split(r"[/ ]|--", here):
            yield f"warning: {adapter.name} says that its base is {theirs!r}; --base is {files.base.model!r}"
