"""From a row of a data set to the prompt and the answer, letter by letter as published with arXiv 2509.22621.

No prompt has a space after its colons and no answer of the twelve starts with one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from ia2_eval.benchmarks.benchmark import Example
from ia2_eval.benchmarks.columns import Row
from ia2_eval.benchmarks.selection import SEED

Examples = Callable[[Sequence[Row]], list[Example]]

REMAP_WORDS = ("Monday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday", "apple", "banana", "orange")


def text_classification(column: str, answers: Mapping[int, str], cut: Callable[[str], str] = str) -> Examples:
    """`Text:<text>\\nLabel:` answered by a digit; `answers` maps the data set's label to it."""
    return lambda rows: [Example(f"Text:{cut(row[column])}\nLabel:", answers[row["label"]]) for row in rows]


def question_answering(column: str, answer: Callable[[Row], str]) -> Examples:
    """`Question:<question>\\nAnswer:` answered by `answer(row)`."""
    return lambda rows: [Example(f"Question:{row[column]}\nAnswer:", answer(row)) for row in rows]


def sciq_with_support(row: Row) -> str:
    """Supporting passage, then the answer on a line of its own; without a passage the answer starts with a newline."""
    return f"{row['support']}\n#### {row['correct_answer']}"


def news_opening(text: str) -> str:
    """The first 256 characters less their last space-separated piece, which goes even when the text is shorter."""
    return " ".join(text[:256].split(" ")[:-1])


def sciq_choices(rows: Sequence[Row]) -> list[Example]:
    """Four options in random order, labelled by words.

    One stream of numpy's legacy generator, seeded with 42, draws the label words and then shuffles
    `[distractor1, distractor2, distractor3, correct]` for every row: the order in one row depends on how many rows came
    before it, so pool and evaluation set go through one call.
    """
    random = np.random.RandomState(SEED)
    labels = remap_words(random, 4)
    examples = []
    for row in rows:
        options = (row["distractor1"], row["distractor2"], row["distractor3"], row["correct_answer"])
        order = [0, 1, 2, 3]
        random.shuffle(order)
        prompt = multiple_choice(row["question"], [options[i] for i in order], labels)
        examples.append(Example(prompt, labels[order.index(3)]))
    return examples


def qasc_choices(rows: Sequence[Row]) -> list[Example]:
    """Eight options in the order of the data set, labelled by words."""
    labels = remap_words(np.random.RandomState(SEED), 8)
    answers = dict(zip("ABCDEFGH", labels, strict=True))
    return [
        Example(multiple_choice(row["question"], row["choices"]["text"], labels), answers[row["answerKey"]])
        for row in rows
    ]


def multiple_choice(question: str, choices: Iterable[str], labels: Iterable[str]) -> str:
    """Question, one labelled option per line, a blank line, `Answer:`."""
    lines = "".join(f"[{label}]{choice}\n" for label, choice in zip(labels, choices, strict=True))
    return f"Question:{question}\nChoices:\n{lines}\nAnswer:"


def remap_words(random: np.random.RandomState, count: int) -> tuple[str, ...]:
    """`count` different words that stand for the labels 0, 1, ...; a word drawn before is drawn again."""
    words: list[str] = []
    while len(words) < count:
        word = REMAP_WORDS[random.choice(len(REMAP_WORDS))]
        if word not in words:
            words.append(word)
    return tuple(words)
