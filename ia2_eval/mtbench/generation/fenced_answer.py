"""The answer in a text that was generated behind an opening fence: up to the fence that closes the format's block."""

from __future__ import annotations


def fenced_answer(generated: str, fence: str = "```") -> str:
    """What stands before the closing fence; all of it where there is none, as in an answer that was cut off.

    A fence with a language (```` ```python ````), or a longer one, opens a code block of the answer, and the next bare
    one that is as long closes it. A bare fence outside such a block is the format's own if a blank line or nothing
    follows, as it does between a demonstration and the next; if text follows, it opens a code block. A fence right
    behind the last words is the format's own too, if it is not the second one of a pair on that line.
    """
    lines = generated.split("\n")
    within = ""
    """The fence of the code block that a line is in."""
    for number, line in enumerate(lines):
        mark = line.strip()
        if within:
            if mark.startswith(within) and not mark.strip(fence[0]):
                within = ""
            continue
        if not mark.startswith(fence):
            continue
        opening = mark[: len(mark) - len(mark.lstrip(fence[0]))]
        if mark != fence:
            # Code that stands on one line between its own fences opens no block.
            within = opening if mark.count(opening) == 1 else ""
        elif line.startswith(fence) and not "".join(lines[number + 1 : number + 2]).strip():
            return "\n".join(lines[:number])
        else:
            within = opening
    last = generated.rstrip().rpartition("\n")[2].strip()
    if not within and last.endswith(fence) and not last.startswith(fence) and last.count(fence) % 2:
        return generated.rstrip().removesuffix(fence)
    return generated
