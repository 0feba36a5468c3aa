from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ia2_eval.errors import UserError
from ia2_eval.mtbench.prompts import overlap
from ia2_eval.mtbench.prompts.derivation import Derivation
from ia2_eval.mtbench.prompts.show import show_prompts
from ia2_eval.mtbench.prompts.sources import load_prompt_set
from ia2_eval.mtbench.prompts.urial_format import parse_prompt


class Shown:
    """What a call of `show_prompts` printed."""

    def __init__(self, name: str | None, derivation: Derivation = Derivation(), **options: Any) -> None:  # noqa: B008
        console, notes = Console(file=io.StringIO(), width=40), Console(file=io.StringIO())
        self.status = show_prompts(name, derivation, console=console, notes=notes, **options)
        self.text, self.notes = console.file.getvalue(), notes.file.getvalue()  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def nothing_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("IA2_DATA_DIR", raising=False)


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    path = tmp_path / "pool.jsonl"
    rows = [{"conversations": [f"Q{number}", f"A{number}"], "source": "ab"[number % 2]} for number in range(6)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_all_prompt_sets_are_listed(tmp_path: Path) -> None:
    local = tmp_path / "data" / "urial_prompts" / "icl-alignment" / "urial.txt"
    local.parent.mkdir(parents=True)
    local.write_text("# Instruction\n\nBe kind.\n")
    shown = Shown(None, data_dir=tmp_path / "data")
    shipped, _, rest = shown.text.partition("in the local data\n  urial\n")
    assert shipped.startswith("shipped\n  default: instruction and three demonstrations")
    assert rest.startswith("by download\n") and "\n  urial\n" not in rest and "\n  urial.plus.best_4&5\n" in rest
    assert len(rest.splitlines()) == 63 and shown.notes == ""


def test_a_set_is_shown_with_its_lengths() -> None:
    default = load_prompt_set("default")
    text = Shown("default", base="embedded").text
    assert text.startswith(f"default sha256 {default.sha256}\ninstruction: {len(default.instruction)} characters\n")
    assert re.search(
        r"\n   1 Why does bread go stale .* \(query 86, answer \d+ characters\)\n   2 A school .*\n   3 I have", text
    )
    tokens = re.search(r"total: 5094 characters, (\d+) tokens of embedded\n", text)
    assert tokens is not None and 1000 < int(tokens[1]) < 5094
    assert "\ndemonstrations: 0\ntotal: 0 characters\n" in Shown("none").text


def test_a_tokenizer_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read the tokenizer of .* Give `embedded`"):
        Shown("default", base=str(tmp_path))


def test_printing_gives_the_text_and_nothing_else(pool: Path) -> None:
    assert Shown("default", print_text=True).text == load_prompt_set("default").text
    shown = Shown("default", Derivation(random=5, pool=pool), print_text=True)
    assert len(parse_prompt("x", shown.text).demonstrations) == 5
    assert shown.notes == ""


@pytest.mark.parametrize(
    ("derivation", "count", "first"),
    [
        ({"plus": 2}, 5, "Q0"),
        ({"random": 5}, 5, "Q"),
        ({"diversity": 4, "seed": 3}, 4, "Q"),
        ({"unsupervised": 3}, 6, "Q"),
        ({"answers": "random"}, 3, "Why does bread"),
        ({"plus": 2, "answers": "shuffled"}, 5, "Q0"),
    ],
)
def test_what_is_built_is_written_and_read_again(
    pool: Path, tmp_path: Path, derivation: dict[str, Any], count: int, first: str
) -> None:
    made = Derivation(**derivation, pool=pool)
    for suffix in (".txt", ".yaml"):
        path = tmp_path / "out" / f"made{suffix}"
        shown = Shown("default", made, write=path)
        assert f"wrote {path}" in shown.notes and f"demonstrations: {count}\n   1 {first}" in shown.text
        read = load_prompt_set(str(path))
        assert len(read.demonstrations) == count and f"\ntotal: {len(read.text)} characters\n" in shown.text
    assert load_prompt_set(str(tmp_path / "out" / "made.txt")).text == read.text


def test_no_answers_need_no_pool(tmp_path: Path) -> None:
    Shown("default", Derivation(answers="none"), write=tmp_path / "queries.txt")
    assert "# Answer:\n" not in load_prompt_set(str(tmp_path / "queries.txt")).text


def test_writing_never_destroys_another_file(tmp_path: Path) -> None:
    path = tmp_path / "set.txt"
    for _ in range(2):
        Shown("default", write=path)
    with pytest.raises(UserError, match="exists and is something else"):
        Shown("instruction", write=path)
    assert path.read_text() == load_prompt_set("default").text
    with pytest.raises(UserError, match=r"give a name that ends in \.txt, \.yaml or \.yml"):
        Shown("default", write=tmp_path / "set.json")
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(UserError, match=r"folder\.txt exists and is something else"):
        Shown("default", write=tmp_path / "folder.txt")


def test_what_a_file_cannot_say_is_told(tmp_path: Path) -> None:
    talk = tmp_path / "talk.yaml"
    talk.write_text("demonstrations: [{turns: [{query: a, answer: b}, {query: c, answer: d}]}]")
    shown = Shown(str(talk), write=tmp_path / "talk.txt")
    assert "(2 turns, query 2, answer 2 characters)" in shown.text
    assert "does not say where a demonstration of several turns ends" in shown.notes
    (tmp_path / "odd.txt").write_text("# Query:\n```Hi```\n")
    assert "those of 'odd' are others" in Shown(str(tmp_path / "odd.txt"), write=tmp_path / "odd.yaml").notes


@pytest.mark.parametrize(
    ("derivation", "message"),
    [
        ({"plus": 2, "random": 5, "pool": "p"}, "--plus and --random exclude each other"),
        ({"random": 5}, "--random draws from a pool: add --pool FILE"),
        ({"answers": "random"}, "--answers random draws from a pool"),
        ({"answers": "none", "pool": "p"}, "--pool without effect"),
        ({"plus": 2, "pool": "p", "seed": 1}, "--seed without effect"),
        ({"seed": 1}, "--seed without effect"),
        ({"unsupervised": 2, "pool": "p", "answers": "none"}, "do one after the other"),
    ],
)
def test_options_that_make_no_sense_together(derivation: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Shown("default", Derivation(**derivation))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (None, {"base": "embedded"}, "give the name of a prompt set"),
        (None, {"print_text": True}, "give the name of a prompt set"),
        (None, {"derivation": Derivation(answers="none")}, "give the name of a prompt set"),
        ("default", {"check": [Path("a.txt")]}, "--check takes files and nothing else"),
        (None, {"check": [Path("a.txt")], "write": Path("b.txt")}, "--check takes files and nothing else"),
        ("default", {"print_text": True, "base": "embedded"}, "leave out --base"),
    ],
)
def test_options_without_a_meaning(name: str | None, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Shown(name, **options)


def test_a_pool_that_is_too_small_or_asks_the_questions(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"--plus 7, but .*pool\.jsonl has 6 usable examples"):
        Shown("default", Derivation(plus=7, pool=pool))
    monkeypatch.setattr(overlap, "mt_bench_keys", lambda: frozenset({overlap.turn_key("q3")}))
    with pytest.raises(UserError, match=r"1 demonstrations ask what models are evaluated on: 'Q3'\. Take them out"):
        Shown("default", Derivation(plus=1, pool=pool))
    shown = Shown(None, check=[pool])
    assert shown.status == 1 and "'Q3'" in shown.text


def test_unusable_rows_are_left_out_and_told(pool: Path) -> None:
    with pool.open("a") as rows:
        rows.write(json.dumps({"instruction": "Q", "input": "", "output": ""}) + "\n")
    assert "pool.jsonl, line 7: an answer has nothing in it; left out" in Shown(
        "default", Derivation(plus=6, pool=pool)
    ).notes.replace("\n", "")


def test_files_are_checked(pool: Path, tmp_path: Path) -> None:
    (tmp_path / "odd.txt").write_text("# Query:\n```Hi```\n")
    (tmp_path / "bad.yaml").write_text("instruction: 3\ndemos: []\n")
    with pool.open("a") as rows:
        rows.write('{"turns": [{"query": "a"}]}\n')
    good = tmp_path / "good.txt"
    Shown("default", write=good)
    assert Shown(None, check=[good]).status == 0
    shown = Shown(None, check=[good, tmp_path / "odd.txt", tmp_path / "bad.yaml", pool, tmp_path / "none.txt"])
    assert shown.status == 1
    text = shown.text.replace("\n", " ")
    for said in (
        "good.txt: 3 demonstrations, 5094 characters, sha256",
        "odd.txt, line 2: blank lines or fences are not as in URIAL's own sets",
        "bad.yaml is no prompt set: instruction: must be a valid string (found 3); demos: unknown key",
        "line 7: `answer` must be a text",
        "cannot read the prompt set",
    ):
        assert said in text


def test_prompts_import_no_torch() -> None:
    heavy = "{'torch', 'transformers', 'lm_eval', 'pandas'} & {*sys.modules}"
    code = f"import sys, ia2_eval.mtbench.prompts.show; sys.exit(bool({heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
