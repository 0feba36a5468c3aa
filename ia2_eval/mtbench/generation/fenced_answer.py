"""The answer in a text that was generated behind an opening fence: up to the fence that closes the format's block."""

from __future__ import annotations


def fenced_answer(generated: str, fence: str = "```") -> str:
    """What stands before the closing fence; all of it where there is none, as in an answer that was cut off.

    A fence with a language (```` ```python ````) opens a code block of the answer and the next bare one closes it. A
    bare fence outside such a block is the format's own if a blank line or nothing follows, as it does between a
    demonstration and the next; if text follows, it opens a code block.
    """
    lines = generated.split("\n")
    in_code = False
    for number, line in enumerate(lines):
        mark = line.strip()
        if not mark.startswith(fence):
            continue
        if in_code:
            in_code = mark != fence
            continue
        if mark != fence:
            # Code that stands on one line between its own fences opens no block.
            in_code = mark.count(fence) == 1
        elif line.startswith(fence) and not "".join(lines[number + 1 : number + 2]).strip():
            return "\n".join(lines[:number])
        else:
            in_code = True
    return generated
