"""What a model is adapted on."""

from __future__ import annotations

from dataclasses import dataclass

SEPARATOR = "\n\n"


@dataclass(frozen=True)
class TrainingExample:
    """One query with its answer, and the demonstrations that the teacher sees before it."""

    prompt: str
    """The query, ending where the answer begins."""
    answer: str
    """The ground truth, as it would follow the prompt."""
    demonstrations: tuple[str, ...] = ()
    """Rendered demonstrations (prompt and answer of other examples), in the order in which the teacher reads them."""

    @property
    def context(self) -> str:
        """What the teacher reads: the demonstrations and the prompt, a blank line between each two."""
        return SEPARATOR.join((*self.demonstrations, self.prompt))
