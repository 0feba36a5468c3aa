from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ia2_eval.errors import UserError
from ia2_eval.mtbench.prompts.builders import build_prompt_set
from ia2_eval.mtbench.prompts.prompt_set import Demonstration, Headings, Turn
from ia2_eval.mtbench.prompts.sources import load_prompt_set
from ia2_eval.mtbench.prompts.typed_format import as_typed, parse_typed

TYPED = """
instruction: Be kind.
demonstrations:
  - turns:
      - {query: Hi, answer: Hello!}
      - query: And now?
        answer: |-
          Two lines:
          this one.
  - turns: [{query: Only asked}]
    after: Then this.
"""


def test_a_typed_set_keeps_the_turns_of_a_conversation(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(TYPED)
    prompt_set = load_prompt_set(str(tmp_path / "own.yaml"))
    assert prompt_set.name == "own" and [len(row.turns) for row in prompt_set.demonstrations] == [2, 1]
    assert prompt_set.text == (
        "# Instruction\n\nBe kind.\n\n"
        "# Query:\n```\nHi\n```\n\n# Answer:\n```\nHello!\n```\n\n"
        "# Query:\n```\nAnd now?\n```\n\n# Answer:\n```\nTwo lines:\nthis one.\n```\n\n"
        "# Query:\n```\nOnly asked\n```\n\nThen this.\n"
    )
    assert parse_typed("own", as_typed(prompt_set)) == prompt_set


def test_other_headings_are_kept() -> None:
    headings = Headings(query="# User:", answer="# Assistant:", fence="")
    built = build_prompt_set("set", "", [Demonstration(turns=(Turn(query="a", answer="b"),))], headings)
    assert parse_typed("set", as_typed(built)) == built
    assert "headings" not in as_typed(load_prompt_set("default"))


def test_every_fault_is_named() -> None:
    text = """
instrucion: Be kind.
headings: {querry: Q}
demonstrations:
  - turns: [{query: 3, answer: b}]
  - turns: [{answer: b, role: user}]
  - turns: []
  - {turns: [{query: a}], afterwards: b}
"""
    with pytest.raises(UserError) as caught:
        parse_typed("set", text)
    for fault in (
        "instrucion: unknown key. Did you mean 'instruction'?",
        "headings.querry: unknown key. Did you mean 'query'?",
        "demonstrations.1.turns.1.query: must be a valid string (found 3)",
        "demonstrations.2.turns.1.query: is missing",
        "demonstrations.2.turns.1.role: unknown key. Known: query, answer.",
        "demonstrations.3.turns: ",
        "demonstrations.4.afterwards: unknown key. Did you mean 'after'?",
    ):
        assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "must be a mapping, such as"),
        ("a: [", "no YAML: "),
        ("instruction: ''", "nothing in it"),
        ("demonstrations: [{turns: [{query: '# Answer: x'}]}]", "a line that begins with '# Answer:'"),
        ("instruction: '# Query: x'", "the instruction has a line that begins with '# Query:'"),
    ],
)
def test_broken_files_are_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "own.yml").write_text(text)
    with pytest.raises(UserError, match=rf"own\.yml is no prompt set: .*{message}"):
        load_prompt_set(str(tmp_path / "own.yml"))


texts = st.text(st.characters(blacklist_categories=("Cs",)), max_size=20).filter(lambda text: "\n#" not in f"\n{text}")


@given(texts, texts, st.none() | texts)
@example("\x85", "\u2028a\r\n", " \n\n")
def test_every_text_survives(instruction: str, query: str, answer: str | None) -> None:
    turn = Turn(query=query, answer=answer)
    built = build_prompt_set("set", instruction, [Demonstration(turns=(turn, turn))])
    assert parse_typed("set", as_typed(built)) == built
