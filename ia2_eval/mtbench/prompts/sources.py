"""Prompt sets by name: shipped, from local data or a download, and from files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ia2_eval.benchmarks.load import existing_data_directory
from ia2_eval.errors import UserError, did_you_mean
from ia2_eval.mtbench.downloads import download
from ia2_eval.mtbench.prompts.builders import build_prompt_set
from ia2_eval.mtbench.prompts.prompt_set import PromptSet
from ia2_eval.mtbench.prompts.typed_format import parse_typed
from ia2_eval.mtbench.prompts.urial_files import aliases, pinned_files, public_name
from ia2_eval.mtbench.prompts.urial_format import parse_prompt

DEFAULT = "default"
INSTRUCTION = "instruction"
NONE = "none"
SHIPPED: Mapping[str, str] = {
    DEFAULT: "instruction and three demonstrations of our own wording",
    INSTRUCTION: "the instruction of `default`, without demonstrations",
    NONE: "nothing before the conversation but its headings",
}
SETS_DIRECTORY = Path(__file__).parent / "sets"
LOCAL_FOLDER = "urial_prompts"
"""In the local data; below it, a folder for each repository: `icl-alignment` and `Re-Align`."""
SUFFIXES = (".txt", ".yaml", ".yml")


def load_prompt_set(name: str, data_dir: Path | None = None) -> PromptSet:
    """A prompt set by name.

    Args:
        name: `default`, `instruction` or `none`; a set of URIAL's, such as `urial`, `random/urial.random.5` or
            `Re-Align/inst_1k_v4`, from `urial_prompts` in the local data, else a checksummed download; or the path of a
            .txt file in URIAL's format or a typed .yaml file.
        data_dir: local data; None for the directory in `IA2_DATA_DIR`, if any.

    Raises:
        UserError: no such prompt set, a file that is missing or broken, or the download failed.
    """
    if name == NONE:
        return PromptSet(name=NONE, text="")
    if name in (DEFAULT, INSTRUCTION):
        default = read_prompt_file(SETS_DIRECTORY / "default.txt")
        return default if name == DEFAULT else build_prompt_set(name, default.instruction, ())
    path = Path(name)
    if path.suffix in SUFFIXES and path.is_file():
        return read_prompt_file(path)
    local, pinned = local_files(data_dir), pinned_files()
    for known in (name, name.removesuffix(".txt").removesuffix(".examples")):
        canonical = aliases([*local, *pinned]).get(known)
        if canonical in local:
            return read_prompt_file(local[canonical], canonical)
        if canonical in pinned:
            return read_prompt_file(download(pinned[canonical]), canonical)
    if path.is_file():
        raise UserError(f"{path} is no prompt set: one ends in .txt (URIAL's format) or .yaml (typed)")
    known_names = [*SHIPPED, *dict.fromkeys([*local, *pinned])]
    near = did_you_mean(name, known_names)
    hint = near if near.startswith(" Did") else f" Known: {', '.join(SHIPPED)}, and the names of `mtbench prompts`."
    raise UserError(f"there is no prompt set {name!r}, and no file of that name.{hint}")


def read_prompt_file(path: Path, name: str | None = None) -> PromptSet:
    """A prompt set from a .txt file in URIAL's format, or a typed .yaml file.

    Raises:
        UserError: the file is missing, not UTF-8 or broken.
    """
    text, name = read_text(path), name or path.name.removesuffix(path.suffix).removesuffix(".examples")
    try:
        return parse_typed(name, text) if path.suffix in (".yaml", ".yml") else parse_prompt(name, text)
    except UserError as error:
        raise UserError(f"{path} is no prompt set: {error}") from error


def read_text(path: Path) -> str:
    """The text of a file, with its line ends as they are.

    Raises:
        UserError: the file is missing or not UTF-8.
    """
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise UserError(f"cannot read the prompt set {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8: byte {error.start} is {error.object[error.start]:#x}") from error


def local_files(data_dir: Path | None = None) -> dict[str, Path]:
    """The prompt sets in the local data, by name."""
    directory = existing_data_directory(data_dir)
    if directory is None or not (directory / LOCAL_FOLDER).is_dir():
        return {}
    root = directory / LOCAL_FOLDER
    return {
        public_name(path.relative_to(root).as_posix()): path
        for path in sorted(root.rglob("*"))
        if path.suffix in SUFFIXES and path.is_file()
    }
