from __future__ import annotations

import re
from pathlib import Path

import pytest

from ia2_eval.errors import UserError
from ia2_eval.mtbench.bench import load_bench
from ia2_eval.mtbench.prompts import sources
from ia2_eval.mtbench.prompts.overlap import refuse_questions
from ia2_eval.mtbench.prompts.sources import load_prompt_set, local_files
from ia2_eval.mtbench.prompts.urial_files import pinned_files
from ia2_eval.mtbench.prompts.urial_format import is_regular

SMALL = "# Query:\n```\n{}\n```\n\n# Answer:\n```\nA\n```\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Local data with two sets under the published names, and one of their own."""
    for place in ("icl-alignment/random/urial.random.5.examples.txt", "Re-Align/inst_1k.txt", "mine/own set.txt"):
        path = tmp_path / "data" / "urial_prompts" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SMALL.format(path.name))
    return tmp_path / "data"


def test_the_default_set_is_regular_and_of_three_kinds() -> None:
    default = load_prompt_set("default")
    assert is_regular(default) and default.name == "default"
    assert [len(demonstration.turns) for demonstration in default.demonstrations] == [1, 1, 1]
    assert 600 <= len(default.text.split()) <= 900
    refuse_questions(default.demonstrations, load_bench("trial").questions)


def test_the_code_and_the_numbers_of_the_default_set_are_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, sums, code = (demonstration.turns[0].answer or "" for demonstration in load_prompt_set("default").demonstrations)
    buses = -(-(212 + 16) // 45)
    assert buses == 6 and -(-100 * (buses * 380 - 500) // 212) == 840 and "**Each pupil pays 8.40 euros.**" in sums
    script = re.search(r"```python\n(.*?)```", code, re.DOTALL)
    assert script is not None
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "IMG_1.jpg").touch()
    exec(script[1], {})
    assert [path.name for path in tmp_path.glob("photos/*")] == ["IMG_1.jpg"]
    for _ in range(2):
        exec(script[1].replace("really_rename = False", "really_rename = True"), {})
    (name,) = [path.name for path in tmp_path.glob("photos/*")]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_IMG_1\.jpg", name)


def test_the_instruction_alone_and_nothing() -> None:
    instruction = load_prompt_set("instruction")
    assert instruction.demonstrations == () and load_prompt_set("default").text.startswith(instruction.text)
    assert load_prompt_set("none").text == ""


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("random/urial.random.5", "urial.random.5.examples.txt"),
        ("icl-alignment/random/urial.random.5.examples.txt", "urial.random.5.examples.txt"),
        ("urial.random.5", "urial.random.5.examples.txt"),
        ("Re-Align/inst_1k", "inst_1k.txt"),
        ("inst_1k.txt", "inst_1k.txt"),
        ("mine/own set", "own set.txt"),
    ],
)
def test_sets_of_the_local_data_by_name(data: Path, name: str, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_prompt_set(name, data).demonstrations[0].turns[0].query == place
    monkeypatch.setenv("IA2_DATA_DIR", str(data))
    assert load_prompt_set(name).name in local_files(data)


def test_other_names_are_downloaded(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(file: object) -> Path:
        asked.append(file)
        return data / "urial_prompts" / "Re-Align" / "inst_1k.txt"

    monkeypatch.setattr(sources, "download", download)
    assert load_prompt_set("greedy/urial.greedy.5", data).name == "greedy/urial.greedy.5"
    assert load_prompt_set("urial").name == "urial"
    assert asked == [pinned_files()["greedy/urial.greedy.5"], pinned_files()["urial"]]


def test_a_file_goes_before_a_name(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inst_1k.txt").write_text(SMALL.format("mine"))
    assert load_prompt_set("inst_1k.txt", data).demonstrations[0].turns[0].query == "mine"
    (tmp_path / "plain").write_text(SMALL.format("no suffix"))
    with pytest.raises(UserError, match=r"plain is no prompt set: one ends in \.txt"):
        load_prompt_set("plain", data)


def test_unknown_names() -> None:
    with pytest.raises(UserError, match=r"no prompt set 'defualt', and no file of that name\. Did you mean 'default'"):
        load_prompt_set("defualt")
    with pytest.raises(UserError, match=r"Did you mean 'urial\.plus\.best_4'"):
        load_prompt_set("urial.plus.best4")
    with pytest.raises(UserError, match="Known: default, instruction, none, and the names of `mtbench prompts`"):
        load_prompt_set("/xyz/0.txt")


def test_the_published_files_have_63_names_of_their_own() -> None:
    files = pinned_files()
    assert len(files) == 63 and {"urial", "urial.plus.best_4&5&6", "Re-Align/inst_1k_v4.help"} <= set(files)
    assert "qa_matching/urial/urial.correct" in files and all(len(file.sha256) == 64 for file in files.values())
