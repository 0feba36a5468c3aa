from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ia2_eval.errors import UserError
from ia2_eval.mtbench.prompts.pools import load_pool
from ia2_eval.mtbench.prompts.prompt_set import Demonstration, Headings, Turn

SHARED = Path(__file__).parents[2].parent / "shared" / "data"


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_all_shapes(tmp_path: Path) -> None:
    said = [{"from": "system", "value": "S"}, {"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]
    path = write(
        tmp_path / "pool.jsonl",
        {"id": "x", "conversations": ["Q1", "A1", "Q2", "A2"], "source": "wiki"},
        {"instruction": "Sort.", "input": "b a", "output": "a b"},
        "",
        {"instruction": "Sing.", "input": "", "output": "La."},
        {"turns": [{"query": "Q", "answer": "A\u2028B"}], "category": "art"},
        {"conversations": said},
    )
    assert load_pool(path) == (
        Demonstration(turns=(Turn(query="Q1", answer="A1"), Turn(query="Q2", answer="A2")), source="wiki"),
        Demonstration(turns=(Turn(query="Sort.\n\nb a", answer="a b"),)),
        Demonstration(turns=(Turn(query="Sing.", answer="La."),)),
        Demonstration(turns=(Turn(query="Q", answer="A\u2028B"),), source="art"),
        Demonstration(turns=(Turn(query="Q", answer="A"),)),
    )


def test_faults_come_with_their_lines(tmp_path: Path) -> None:
    path = write(
        tmp_path / "pool.jsonl",
        {"conversations": ["Q", "A"]},
        "{",
        [1],
        {"prompt": "Q"},
        {"conversations": ["Q", "A", "Q"]},
        {"conversations": [{"from": "gpt", "value": "A"}, {"from": "human", "value": "Q"}]},
        {"turns": [{"query": "Q"}]},
        {"turns": []},
        {"instruction": "Q", "output": 3},
        {"conversations": ["Q", " "]},
        {"conversations": ["", "A"]},
        {"conversations": ["Q", "A\n# Answer: B"]},
    )
    with pytest.raises(UserError) as caught:
        load_pool(path)
    for fault in (
        "line 2: no JSON",
        "line 3: must be an object with `conversations`",
        "line 4: has prompt; needed: `conversations`",
        "line 5: the conversation has 3 entries: the last query has no answer",
        "line 6: `human` and `gpt` must take turns; entry 1 is from 'gpt'",
        "line 7: `answer` must be a text (found None)",
        "line 8: has no turns",
        "line 9: `output` must be a text (found 3)",
        "line 10: an answer has nothing in it",
        "line 11: a query has nothing in it",
        "1 more",
    ):
        assert f"\n  {fault}" in str(caught.value)


def test_rows_that_cannot_be_demonstrations_can_be_left_out(tmp_path: Path) -> None:
    rows = [{"conversations": [query, "A"]} for query in ("Q", "", "# User: Hi")]
    path, told = write(tmp_path / "pool.jsonl", *rows), list[str]()
    assert [row.turns[0].query for row in load_pool(path, on_unusable=told.append)] == ["Q", "# User: Hi"]
    assert told == [f"{path}, line 2: a query has nothing in it; left out"]
    headings = Headings(query="# User:", answer="# Assistant:", fence="")
    assert len(load_pool(path, headings, told.append)) == 1
    assert told[-1].endswith("line 3: the demonstration '# User: Hi' has a line that begins with '# User:'; left out")


def test_missing_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read the pool .*No such file"):
        load_pool(tmp_path / "pool.jsonl")
    with pytest.raises(UserError, match="has no examples"):
        load_pool(write(tmp_path / "pool.jsonl", ""))
    (tmp_path / "pool.jsonl").write_bytes(b'{"turns": "\xff"}')
    with pytest.raises(UserError, match="is not UTF-8: byte 11"):
        load_pool(tmp_path / "pool.jsonl")


def test_half_a_character_is_no_text(tmp_path: Path) -> None:
    path, told = tmp_path / "pool.jsonl", list[str]()
    rows = [{"turns": [{"query": "Q", "answer": answer}]} for answer in ("\ud83d", "\N{GRINNING FACE}")]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [row.turns[0].answer for row in load_pool(path, on_unusable=told.append)] == ["\N{GRINNING FACE}"]
    assert "holds '\\ud83d', half of a surrogate pair" in told[0]


def test_a_list_is_a_pool_too(tmp_path: Path) -> None:
    """Alpaca is published as one."""
    path = tmp_path / "pool.json"
    rows = [{"instruction": f"Q{number}", "input": "", "output": "A"} for number in range(3)]
    path.write_text(json.dumps(rows, indent=1))
    assert [row.turns[0].query for row in load_pool(path)] == ["Q0", "Q1", "Q2"]
    path.write_text(json.dumps([rows[0], {"instruction": "Q"}, "Q"]))
    with pytest.raises(UserError, match=r"entry 2: has instruction; needed: .*\n  entry 3: must be an object"):
        load_pool(path)
    path.write_text(json.dumps(rows)[:-1])
    with pytest.raises(UserError, match="begins as a JSON list, and is none"):
        load_pool(path)


@pytest.mark.skipif(not SHARED.is_dir(), reason="LIMA and Alpaca are not beside the checkout")
@pytest.mark.parametrize(("name", "count"), [("lima", 900), ("alpaca", 500)])
def test_the_real_pools(name: str, count: int) -> None:
    pool = load_pool(SHARED / name / "train.jsonl")
    assert len(pool) == count and all(turn.answer for row in pool for turn in row.turns)
