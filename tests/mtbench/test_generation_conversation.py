from __future__ import annotations

import re
from pathlib import Path

import pytest

from ia2_eval.mtbench.generation.conversation import UrialConversation, published_clean_up
from ia2_eval.mtbench.generation.fenced_answer import fenced_answer
from ia2_eval.mtbench.prompts.prompt_set import Headings, PromptSet

EMPTY = PromptSet(name="empty", text="")
CONVERSATION = UrialConversation(EMPTY)
PAPER = UrialConversation(EMPTY, "paper")

CODE = "Use this:\n\n```python\nprint(1)\n```\n\nIt prints 1."
BARE_CODE = "Use this:\n\n```\nprint(1)\n```\n\nIt prints 1."
ENDS_IN_CODE = "Use this:\n```python\nprint(1)\n```"
INDENTED = "1. First:\n\n   ```sh\n   make\n   ```\n2. Then rest."
ONE_LINE = "Type ```make``` and wait.\n```make``` again"


@pytest.mark.parametrize("answer", ["Yes.", "", "a\n\nb", CODE, BARE_CODE, ENDS_IN_CODE, INDENTED, ONE_LINE])
@pytest.mark.parametrize(
    "behind", ["\n```", "\n```\n", "\n```\n\n", "\n```\n\n# Query:\n```\nNext", "\n```\n\n# Note\nmore ```x``` text"]
)
def test_what_stands_before_the_closing_fence_is_the_answer(answer: str, behind: str) -> None:
    assert CONVERSATION.clean(answer + behind) == answer.strip()


@pytest.mark.parametrize("cut", ["Use this:\n```python\nprint(", "Use this:\n\n```\nprint(", "no fence at all"])
def test_an_answer_that_was_cut_off_is_kept_whole(cut: str) -> None:
    assert CONVERSATION.clean(cut) == cut


@pytest.mark.parametrize("behind", ["", "\n", "\n\n# Query:\n```\nNext", "\r\n\r\n# Query:\r\n"])
def test_a_closing_fence_that_is_missing_or_out_of_place(behind: str) -> None:
    """As base models write them: the fence of a code block for that of the answer, or the fence behind the words."""
    for answer in (ENDS_IN_CODE, "Use this:\n\n```\nprint(1)\n```", "```\nprint(1)\n```", ONE_LINE, "Type ```make```"):
        assert CONVERSATION.clean(answer + behind) == answer
    assert CONVERSATION.clean(f"It is 42.```{behind}") == "It is 42."
    assert CONVERSATION.clean(f"Code:\n```python\nprint(1)```{behind}") == "Code:\n```python\nprint(1)```"


def test_a_heading_of_the_answer_is_no_heading_of_the_format() -> None:
    answer = "## User Experience\n# Query the database\nselect 1  # Query: all\n# Answer: 42"
    assert CONVERSATION.clean(f"{answer}\n```\n\n# Query:\n") == answer
    assert CONVERSATION.until == ("\n# Query:\n",)
    assert not any(stop in f"\n{answer}\n" for stop in CONVERSATION.until)
    assert CONVERSATION.clean("# Query:\n```\nwhat?") == ""  # in place of an answer


def test_the_published_clean_up_deletes_every_fence() -> None:
    assert PAPER.clean(f"{CODE}\n```\n\n") == "Use this:\n\npython\nprint(1)\n\n\nIt prints 1."
    assert published_clean_up(" a<|endoftext|>b ```\n") == "a b"
    assert PAPER.until == ("# Query", "# User")


def test_published_runs_leave_the_fence_of_an_empty_answer_open() -> None:
    """`SeparatorStyle.URIAL`, which takes an empty message for one that is still to come."""
    shown = PromptSet(name="shown", text="# Query:\n```\na\n```\n\n# Answer:\n```\n\n```\n")
    live = "\n# Query:\n```\nb\n```\n\n# Answer:\n```\n\n# Query:\n```\nc\n```\n\n# Answer:\n```\n"
    assert UrialConversation(shown, "paper").prompt(["b", "c"], [""]) == shown.text + live
    assert UrialConversation(shown).prompt(["b", "c"], [""]) == shown.prompt(["b", "c"], [""]) != shown.text + live
    assert UrialConversation(shown, "paper").prompt(["b", "c"], ["d"]) == shown.prompt(["b", "c"], ["d"])


def test_a_format_without_fences() -> None:
    plain = UrialConversation(EMPTY.model_copy(update={"headings": Headings(query="User:", answer="Bot:", fence="")}))
    assert plain.until == ("\nUser:\n",)
    assert plain.clean("Yes.\n```\ncode\n```\n\n\nUser:\nNext") == "Yes.\n```\ncode\n```"


def test_a_fence_of_code_within_code_is_text() -> None:
    assert fenced_answer("````") == "````"
    longer = "````markdown\n```python\n1\n```\n````\nafter"
    assert fenced_answer(f"{longer}\n```\n\nrest") == longer
    nested = "```markdown\n```python\n1\n```\ntext\n```\n\nrest"
    assert fenced_answer(nested) == "```markdown\n```python\n1\n```\ntext"


def test_every_answer_of_the_real_demonstrations_survives(shared_data: Path) -> None:
    answers = set()
    for path in (shared_data / "urial_prompts" / "icl-alignment").rglob("*.txt"):
        for rest in re.split(r"\n# Answer:\n```\n", path.read_bytes().decode())[1:]:
            answers.add(re.split(r"\n```\n(?:\n# Query:\n|\Z)", rest, maxsplit=1)[0])
    assert len(answers) > 300 and sum("```" in answer for answer in answers) > 20
    for answer in answers:
        for behind in ("\n```\n", "\n```\n\n# Query:\n```\nNext"):
            assert CONVERSATION.clean(answer + behind) == answer.strip()
