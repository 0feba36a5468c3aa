from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from ia2_eval.leaderboard.board import Leaderboard
from ia2_eval.leaderboard.tables.markdown import to_markdown
from ia2_eval.leaderboard.tables.table import Mark, Table
from ia2_eval.leaderboard.tables.terminal import print_leaderboard, print_tables

METHODS = ("no ICL", "SFT", *(f"IA2 (residual cosine layers 0,{i},-1)" for i in range(10)))
TABLE = Table(
    title="embedded · lora_r8_a8_qko · protocol strict",
    columns=METHODS,
    values=("acc", "unparsed"),
    rows=tuple(
        (
            (str(n), "1821"),
            ("Mood", "FinS*"),
            *((f"{n}{i}.5 (13.{i}) 3/5", f"{n}{i}.25 (0.{i}3)") for i in range(len(METHODS))),
        )
        for n in (4, 8)
    ),
    caption=("A remark.",),
)


def printed(width: int) -> list[str]:
    board = Leaderboard((), (TABLE,), (), (), (), (), 0, (Path("a.csv"),))
    console = Console(width=width, file=io.StringIO())
    print_leaderboard(board, console)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize(("width", "blocks"), [(500, 1), (250, 1), (150, 2), (120, 2), (80, 4), (40, 12), (10, 12)])
def test_a_table_too_wide_is_split_and_no_figure_is_cut(width: int, blocks: int) -> None:
    lines = printed(width)
    text = "\n".join(lines)
    for row in TABLE.rows:
        for accuracy, unparsed in row[2:]:
            assert text.count(accuracy) == text.count(unparsed) == 1
    rules = [i for i, line in enumerate(lines) if "──" in line]
    assert len(rules) == blocks
    for rule in rules:
        above, below = lines[rule - 2 : rule], lines[rule + 1 : rule + 5]
        if width == 500:  # the pairs side by side
            assert re.match(r" +N +n  source  eval ", lines[rule - 1])
            assert all(re.match(rf" +{n}  1821  Mood +FinS\* ", line) for n, line in zip((4, 8), below, strict=False))
            continue
        assert re.match(r" +N  source +acc", above[0])
        assert re.match(r" +n  eval +unparsed", above[1])
        assert [line.split()[:2] for line in below] == [
            ["4", "Mood"],
            ["1821", "FinS*"],
            ["8", "Mood"],
            ["1821", "FinS*"],
        ]
    assert "…" not in text
    assert text.count("A remark.") == 1
    if width >= 40:
        assert max(map(len, lines)) <= width


def test_every_method_is_named_once_in_words() -> None:
    for width in (500, 80):
        words = " ".join(printed(width)).split()
        each = 2 if width == 500 else 1
        assert words.count("(residual") == 10 * each
        assert all(words.count(f"0,{i},-1)") == each for i in range(10))


def test_markdown_has_one_wide_table() -> None:
    lines = [line for line in to_markdown("Leaderboard", [TABLE]).splitlines() if line.startswith("|")]
    assert len(lines) == 4
    assert {line.count(" | ") for line in lines} == {4 + 2 * len(METHODS) - 1}


def test_best_values_are_bold_in_markdown_and_nothing_else_is_markup() -> None:
    table = Table(
        "a|b",
        ("*x*",),
        ("v",),
        ((("`k`",), ("<b>",)), (("k",), ("[1](2)",))),
        (),
        (("key",),),
        frozenset({Mark(0, 0, 0)}),
    )
    assert to_markdown("T", [table]).splitlines() == [
        "# T",
        "",
        r"## a\|b",
        "",
        r"| key | \*x\* v |",
        "| --- | --- |",
        r"| \`k\` | **\<b>** |",
        r"| k | \[1\](2) |",
    ]


@pytest.mark.parametrize("width", [200, 20])
def test_best_values_are_bold_in_the_terminal(width: int) -> None:
    marked = Table(TABLE.title, TABLE.columns, TABLE.values, TABLE.rows, TABLE.caption, best=frozenset({Mark(1, 1, 1)}))
    plain, bold = ([], [])
    for table, lines in ((TABLE, plain), (marked, bold)):
        console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system="standard")
        print_tables([table], console)
        lines += console.file.getvalue().splitlines()
    differing = [line for line in bold if line not in plain]
    assert len(differing) == 1
    assert "\x1b[1m81.25 (0.13)\x1b[0m" in differing[0]


@pytest.mark.parametrize("width", [200, 20])
def test_best_values_have_a_mark_where_nothing_can_be_bold(width: int) -> None:
    marked = Table(TABLE.title, TABLE.columns, TABLE.values, TABLE.rows, TABLE.caption, best=frozenset({Mark(1, 1, 1)}))
    printed = []
    for table in (TABLE, marked):
        console = Console(width=width, file=io.StringIO())
        print_tables([table], console)
        printed.append(console.file.getvalue().splitlines())
    plain, best = printed
    assert [line for line in best if "°" in line] == [
        next(line for line in plain if " 81.25 (0.13)" in line).replace(" 81.25", "°81.25"),
        "°: bold elsewhere.",
    ]
    assert not any("°" in line for line in plain)


def test_tables_of_others_have_keys_and_values_of_their_own() -> None:
    table = Table(
        "T", ("turn 1",), ("score",), ((("llama", "greedy", "80"), ("7.25",)),), (), (("model", "decoding", "n"),)
    )
    assert table.words == {"model", "decoding"}
    console = Console(width=60, file=io.StringIO())
    print_tables([table], console)
    lines = [line.split() for line in console.file.getvalue().splitlines() if line.strip()]
    assert lines[1:3] == [["turn", "1"], ["model", "decoding", "n", "score"]]
    assert lines[4] == ["llama", "greedy", "80", "7.25"]
