"""`ia2-eval mtbench prompts`: prompt sets listed, shown, checked, and made from others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from ia2_eval.atomic import write_atomically
from ia2_eval.errors import UserError
from ia2_eval.mtbench.prompts.derivation import Derivation, derive
from ia2_eval.mtbench.prompts.overlap import refuse_questions
from ia2_eval.mtbench.prompts.pools import load_pool
from ia2_eval.mtbench.prompts.prompt_set import Demonstration, PromptSet, first_line
from ia2_eval.mtbench.prompts.sources import (
    SHIPPED,
    SUFFIXES,
    load_prompt_set,
    local_files,
    read_prompt_file,
    read_text,
)
from ia2_eval.mtbench.prompts.typed_format import as_typed
from ia2_eval.mtbench.prompts.urial_files import pinned_files
from ia2_eval.mtbench.prompts.urial_format import is_regular, remarks

Say = Callable[[str], None]


def show_prompts(
    name: str | None,
    derivation: Derivation,
    *,
    base: str | None = None,
    write: Path | None = None,
    print_text: bool = False,
    check: Sequence[Path] = (),
    data_dir: Path | None = None,
    console: Console,
    notes: Console,
) -> int:
    """List the prompt sets, or show one; or check files.

    Args:
        name: of a prompt set; None to list them all.
        derivation: what to make of it first.
        base: model whose tokens are counted; only its tokenizer is read.
        write: where to write it: .txt in URIAL's format, .yaml typed.
        print_text: the text itself, and nothing else, on `console`.
        check: files to validate instead.
        data_dir: local data; None for the directory in `IA2_DATA_DIR`, if any.
        console: for what was asked for.
        notes: for everything else.

    Returns:
        Exit status: 1 if a file to check is faulty.

    Raises:
        UserError: options that make no sense together; no such prompt set, or it cannot be made.
    """
    say: Say = lambda line: notes.print(escape(line), style="yellow", highlight=False, soft_wrap=True)  # noqa: E731
    alone = {"--base": base, "--write": write, "--print": print_text or None, "--check": check or None}
    given = [option for option, value in alone.items() if value is not None]
    if check:
        if name is not None or derivation.asked or given != ["--check"]:
            raise UserError("--check takes files and nothing else")
        return _check(check, console)
    if name is None:
        if derivation.asked or given:
            raise UserError("give the name of a prompt set, such as `default`; without one, they are only listed")
        _list(data_dir, console)
        return 0
    if print_text and base is not None:
        raise UserError("--print gives the text and nothing else: leave out --base")
    prompt_set = derive(load_prompt_set(name, data_dir), derivation, say)
    if write is not None:
        _write(prompt_set, write, say)
    if print_text:
        console.file.write(prompt_set.text)
    else:
        _describe(prompt_set, base, console)
    return 0


def _list(data_dir: Path | None, console: Console) -> None:
    local = local_files(data_dir)
    groups = {
        "shipped": [f"{name}: {what}" for name, what in SHIPPED.items()],
        "in the local data": list(local),
        "by download": [name for name in pinned_files() if name not in local],
    }
    for title, names in groups.items():
        if names:
            console.print(f"[bold]{title}[/bold]", highlight=False)
            for name in names:
                console.print(f"  {escape(name)}", highlight=False, soft_wrap=True)


def _describe(prompt_set: PromptSet, base: str | None, console: Console) -> None:
    lines = [f"[bold]{escape(prompt_set.name)}[/bold] sha256 {prompt_set.sha256}"]
    lines.append(f"instruction: {len(prompt_set.instruction)} characters")
    lines += [escape(f"  {line}") for line in prompt_set.instruction.split("\n") if line]
    lines.append(f"demonstrations: {len(prompt_set.demonstrations)}")
    lines += [
        escape(f"  {number:2} {_measured(demonstration)}")
        for number, demonstration in enumerate(prompt_set.demonstrations, start=1)
    ]
    total = f"total: {len(prompt_set.text)} characters"
    lines.append(total if base is None else f"{total}, {_tokens(prompt_set.text, base)} tokens of {escape(base)}")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _measured(demonstration: Demonstration) -> str:
    answers = [turn.answer for turn in demonstration.turns if turn.answer is not None]
    turns = f"{len(demonstration.turns)} turns, " if len(demonstration.turns) > 1 else ""
    query = sum(len(turn.query) for turn in demonstration.turns)
    answered = f"answer {sum(map(len, answers))} characters" if answers else "no answer"
    after = ", plain text behind it" if demonstration.after else ""
    return f"{first_line(demonstration)} ({turns}query {query}, {answered}{after})"


def _tokens(text: str, base: str) -> int:
    from transformers import AutoTokenizer

    from ia2_eval.embedded import MODEL_DIRECTORY

    try:
        tokenizer = AutoTokenizer.from_pretrained(MODEL_DIRECTORY if base == "embedded" else base)
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"cannot read the tokenizer of {base!r}: {reason} Give `embedded`, a local model directory, or a hub "
            "repository that can be reached."
        ) from error
    return len(tokenizer(text, verbose=False)["input_ids"])


def _write(prompt_set: PromptSet, path: Path, say: Say) -> None:
    if path.suffix not in SUFFIXES:
        raise UserError(f"--write {path}: give a name that ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    typed = path.suffix != ".txt"
    content = (as_typed(prompt_set) if typed else prompt_set.text).encode()
    if path.exists() and (path.is_dir() or path.read_bytes() != content):
        raise UserError(f"{path} exists and is something else: choose another name, or remove it")
    if not typed and any(len(demonstration.turns) > 1 for demonstration in prompt_set.demonstrations):
        say(f"{path} does not say where a demonstration of several turns ends; a .yaml file does")
    if typed and not is_regular(prompt_set):
        say(f"{path} has the blank lines and fences of URIAL's own sets; those of {prompt_set.name!r} are others")
    try:
        write_atomically(path, content)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    say(f"wrote {path}")


def _check(paths: Sequence[Path], console: Console) -> int:
    faulty = 0
    for path in paths:
        try:
            lines = _checked(path)
        except UserError as error:
            console.print(escape(str(error)), style="red", highlight=False, soft_wrap=True)
            faulty += 1
            continue
        for line in lines:
            console.print(escape(line), highlight=False, soft_wrap=True)
    return 1 if faulty else 0


def _checked(path: Path) -> list[str]:
    """What there is to say about a file that can be used."""
    if path.suffix == ".jsonl":
        pool = load_pool(path)
        refuse_questions(pool)
        return [f"{path}: a pool of {len(pool)} examples"]
    prompt_set = read_prompt_file(path)
    refuse_questions(prompt_set.demonstrations)
    found = remarks(str(path), read_text(path)) if path.suffix not in SUFFIXES[1:] else ()
    sha256 = prompt_set.sha256[:16]
    return [
        f"{path}: {len(prompt_set.demonstrations)} demonstrations, {len(prompt_set.text)} characters, sha256 {sha256}",
        *(f"{path}, line {remark.line}: {remark.text}" for remark in found),
    ]
