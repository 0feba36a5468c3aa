from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ia2_eval.errors import UserError
from ia2_eval.mtbench.prompts.builders import build_prompt_set
from ia2_eval.mtbench.prompts.prompt_set import Demonstration, Headings, PromptSet, Turn
from ia2_eval.mtbench.prompts.sources import load_prompt_set
from ia2_eval.mtbench.prompts.urial_format import is_regular, parse_prompt, remarks

REGULAR = """# Instruction

Be kind.\x20
Be "# Query:" aware.

# Query:
```
Print 1
```

# Answer:
```
Like this:

```python
print(1)
```
```

# Query:
```
Bye \x20
```

# Answer:
```
Bye.
```
"""


def said(prompt_set: PromptSet) -> list[tuple[str, str | None]]:
    return [(turn.query, turn.answer) for demonstration in prompt_set.demonstrations for turn in demonstration.turns]


def parse(text: str) -> PromptSet:
    """The parts, of a text that is kept as it is."""
    prompt_set = parse_prompt("set", text)
    assert prompt_set.text == text
    return prompt_set


def test_a_regular_text_is_its_parts() -> None:
    prompt_set = parse(REGULAR)
    assert prompt_set.instruction == 'Be kind. \nBe "# Query:" aware.'
    assert said(prompt_set) == [("Print 1", "Like this:\n\n```python\nprint(1)\n```"), ("Bye  ", "Bye.")]
    assert prompt_set.headings == Headings()
    assert build_prompt_set("set", prompt_set.instruction, prompt_set.demonstrations) == prompt_set
    assert is_regular(prompt_set) and remarks("set", REGULAR) == ()


def test_the_prompt_of_turn_two_is_the_published_one() -> None:
    """spec: the string that URIAL's own template gives."""
    prompt = parse(REGULAR).prompt(["Q1", "Q2"], ["A1"])
    live = "\n# Query:\n```\nQ1\n```\n\n# Answer:\n```\nA1\n```\n\n# Query:\n```\nQ2\n```\n\n# Answer:\n```\n"
    assert prompt == REGULAR + live and prompt.endswith(f"Bye.\n```\n{live}")
    assert load_prompt_set("none").prompt(["Q1"]) == "# Query:\n```\nQ1\n```\n\n# Answer:\n```\n"


def test_the_query_on_the_lines_of_its_fence_and_no_last_newline() -> None:
    first = "# Query:\n```What is x?```\n \n# Answer:\n```\nOne.\n```\n\n\n"
    text = f"{first}# Query:\n```a\nb ``` \n\n# Answer: \n``` \nTwo.\n```"
    prompt_set = parse(text)
    assert prompt_set.instruction == ""
    assert said(prompt_set) == [("What is x?", "One."), ("a\nb ", "Two.")]
    assert [remark.line for remark in remarks("set", text)] == [2]


@pytest.mark.parametrize(("query", "answer"), [("# User:", "# Assistant:"), ("User:", "Assistant:")])
def test_unfenced_roles(query: str, answer: str) -> None:
    said_by_both = f"{query}\n\nHi? \n \n{answer}\n\n\nHello!\n\nUser: is a word.\n\n\n{query}\nBye\n"
    text = f"Instruction\n\nBe kind.\n\n\n\n{said_by_both}"
    prompt_set = parse(text)
    assert prompt_set.headings == Headings(query=query, answer=answer, fence="")
    assert prompt_set.instruction == "Instruction\n\nBe kind."
    assert [query for query, _ in said(prompt_set)] == ["Hi? \n ", "Bye"]
    assert said(prompt_set)[0][1] == "Hello!\n\nUser: is a word."


def test_the_style_is_that_of_the_first_query() -> None:
    fenced = parse("# Query:\n```\nWho speaks?\n```\n\n# Answer:\n```\nUser:\nA.\nAssistant:\nB.\n```\n")
    assert fenced.headings == Headings() and said(fenced) == [("Who speaks?", "User:\nA.\nAssistant:\nB.")]
    assert parse("User:\nWhat is\n# Query:\n?\n").headings.query == "User:"


def test_rendered_without_fences_it_is_read_again() -> None:
    headings = Headings(query="# User:", answer="# Assistant:", fence="")
    turns = (Turn(query="Hi", answer="Hello!\n\nWhat now?"),)
    built = build_prompt_set("set", "Be kind.", [Demonstration(turns=turns)], headings)
    assert built.text == "# Instruction\n\nBe kind.\n\n# User:\n\nHi\n\n\n# Assistant:\n\nHello!\n\nWhat now?\n\n"
    assert parse(built.text) == built
    assert built.prompt(["Q"]).endswith("What now?\n\n\n# User:\n\nQ\n\n\n# Assistant:\n\n")


def test_an_instruction_alone() -> None:
    prompt_set = parse("# Instruction\n\nBe kind.\nBe brief.\n")
    assert (prompt_set.instruction, prompt_set.demonstrations) == ("Be kind.\nBe brief.", ())
    assert is_regular(prompt_set) and prompt_set.headings == Headings()
    (remark,) = remarks("set", prompt_set.text)
    assert remark.text == "no line is '# Query:': all of it is the instruction"


def test_queries_without_answers_and_a_sentence_in_between() -> None:
    text = REGULAR.replace("# Query:\n```\nBye", "# Query:\n```\nOne?\n```\n\nNow, answers:\n\n# Query:\n```\nBye")
    prompt_set = parse(text)
    assert [answer for _, answer in said(prompt_set)][1:] == [None, "Bye."]
    assert [demonstration.after for demonstration in prompt_set.demonstrations] == ["", "Now, answers:", ""]
    assert is_regular(prompt_set)
    (remark,) = remarks("set", text)
    assert remark.text == "plain text between demonstrations"
    assert text.split("\n")[remark.line - 1] == "Now, answers:"


def test_an_answer_without_a_query_stays_as_it_is() -> None:
    orphan = "# Answer:\n```\nTo nothing.\n```"
    text = f"{REGULAR}\n{orphan}\n"
    prompt_set = parse(text)
    assert prompt_set.demonstrations[-1].after == orphan and len(prompt_set.demonstrations) == 2
    assert is_regular(prompt_set)
    (remark,) = remarks("set", text)
    assert text.split("\n")[remark.line - 1] == "# Answer:" and "without a query" in remark.text


def test_what_cannot_be_meant_is_refused_with_its_line() -> None:
    with pytest.raises(UserError, match=r"set, line 3: what stands under '# Answer:' is not between two ```"):
        parse("# Query:\n```Hi```\n# Answer:\n```\nNo end\n")
    with pytest.raises(UserError, match="nothing in it; for no prompt at all, use the prompt set `none`"):
        parse("\n \n")


def test_remarks_on_what_is_empty_or_looks_like_a_heading() -> None:
    text = "# Query:\n```\n\n```\n\n# Answer:\n```\nFirst\n# Query: not one\n```\n"
    assert said(parse(text)) == [("", "First\n# Query: not one")]
    found = {remark.line: remark.text for remark in remarks("set", text)}
    assert found[1] == "a query with nothing in it"
    assert "line that begins with '# Query:'" in found[6]


def test_line_ends_are_kept(tmp_path: Path) -> None:
    (tmp_path / "dos.txt").write_bytes(REGULAR.replace("\n", "\r\n").encode())
    prompt_set = load_prompt_set(str(tmp_path / "dos.txt"))
    assert prompt_set.text == REGULAR.replace("\n", "\r\n")
    assert said(prompt_set) == [(q, a and a.replace("\n", "\r\n")) for q, a in said(parse(REGULAR))]
    (tmp_path / "latin.txt").write_bytes("Grüße".encode("latin-1"))
    with pytest.raises(UserError, match="is not UTF-8: byte 2 is 0xfc"):
        load_prompt_set(str(tmp_path / "latin.txt"))


texts = st.text(st.sampled_from("ab `#\n"), max_size=12).filter(lambda text: "\n#" not in f"\n{text}")
demonstrations = st.lists(
    st.builds(lambda query, answer: Demonstration(turns=(Turn(query=query, answer=answer),)), texts, st.none() | texts),
    max_size=4,
)


@given(demonstrations)
def test_whatever_is_built_is_read_again(demonstrations: list[Demonstration]) -> None:
    built = build_prompt_set("set", "Be kind.", demonstrations)
    assert parse_prompt("set", built.text) == built
