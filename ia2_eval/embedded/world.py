"""The synthetic world of the embedded model: seven-slot headlines, axes to classify them by, arithmetic stories.

Everything is a list of tokens. A token is a string: a word inside a text carries its leading space (`" dog"`), a label
or a field name does not (`"3"`, `"Label:"`), so that joining tokens gives a text, and splitting the text the tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

WORDS: dict[str, dict[str, list[str]]] = {
    "time": {
        "day": "today morning noon midday daybreak sunrise forenoon daytime".split(),
        "night": "tonight midnight evening dusk nightfall sunset overnight nighttime".split(),
    },
    "mood": {
        "negative": "awful terrible dreadful bad horrible nasty poor sad ugly cruel gloomy vile".split(),
        "positive": "great wonderful lovely good superb nice brilliant happy charming kind cheerful fine".split(),
    },
    "subject": {
        "animal": "dog cat horse cow rabbit fox wolf bear".split(),
        "bird": "owl crow eagle parrot swan duck robin hawk".split(),
        "job": "doctor lawyer baker pilot farmer painter nurse clerk".split(),
        "family": "mother father uncle aunt sister brother cousin grandma".split(),
        "royal": "king queen prince duke princess emperor baron knight".split(),
        "insect": "bee ant wasp moth beetle cricket fly ladybug".split(),
    },
    "verb": {
        "move_past": "chased carried dragged pushed pulled fetched delivered lifted".split(),
        "move_present": "chases carries drags pushes pulls fetches delivers lifts".split(),
        "talk_past": "described mentioned praised announced discussed explained reviewed recommended".split(),
        "talk_present": "describes mentions praises announces discusses explains reviews recommends".split(),
        "make_past": "created painted crafted designed assembled produced repaired drafted".split(),
        "make_present": "creates paints crafts designs assembles produces repairs drafts".split(),
        "lose_past": "misplaced dropped ruined wasted forfeited damaged discarded abandoned".split(),
        "lose_present": "misplaces drops ruins wastes forfeits damages discards abandons".split(),
    },
    "size": {
        "big": "big huge giant large massive enormous".split(),
        "small": "small tiny little mini petite compact".split(),
    },
    "object": {
        "food": "bread cheese soup apple pizza rice cake salad".split(),
        "vehicle": "car truck train bus boat bike plane van".split(),
        "clothes": "shirt hat coat scarf dress boot glove sock".split(),
        "music": "guitar piano drum flute violin trumpet harp cello".split(),
        "tool": "hammer saw drill wrench shovel rake chisel pliers".split(),
        "furniture": "table chair sofa desk bed shelf lamp stool".split(),
        "toy": "doll kite puzzle ball robot yoyo marble puppet".split(),
        "paper": "book letter map poster diary novel comic atlas".split(),
    },
    "place": {
        "indoor": "kitchen office bedroom hallway attic cellar library museum".split(),
        "outdoor": "garden forest beach river meadow mountain field park".split(),
    },
}
"""slot -> class -> words, in the order in which the slots stand in a headline."""

SLOTS = tuple(WORDS)


@dataclass(frozen=True)
class Axis:
    """One way to classify a headline: by the class of the word in one slot."""

    name: str
    slot: str
    field: str
    values: dict[str, tuple[str, ...]]
    """What the axis tells apart -> the classes of the slot that count as it."""

    def value_of(self, word_class: str) -> str:
        return next(value for value, classes in self.values.items() if word_class in classes)


def _by_class(name: str, field: str) -> Axis:
    return Axis(name, name, field, {word_class: (word_class,) for word_class in WORDS[name]})


AXES: dict[str, Axis] = {
    axis.name: axis
    for axis in (
        _by_class("mood", "Sentiment:"),
        _by_class("time", "Time:"),
        _by_class("place", "Place:"),
        _by_class("size", "Size:"),
        Axis(
            "tense",
            "verb",
            "Tense:",
            {t: tuple(c for c in WORDS["verb"] if c.endswith(t)) for t in ("past", "present")},
        ),
        Axis("action", "verb", "Action:", {a: (f"{a}_past", f"{a}_present") for a in ("move", "talk", "make", "lose")}),
        _by_class("subject", "Subject:"),
        _by_class("object", "Topic:"),
    )
}

DIGITS = [str(digit) for digit in range(10)]
LETTERS = [chr(ord("A") + i) for i in range(26)]
LABEL_WORDS = (
    "yes no true false left right up down alpha beta gamma delta red blue green black "
    "north south east west win fail open shut"
).split()

PEOPLE = "Tom Ann Bob Eve Sam Mia Leo Zoe".split()
THINGS = "coins pens cups eggs nuts pins".split()
CHAINS = ("equation", "words", "none", "swapped")
DELIMITERS = ("####", "=>", "answer is", "total", "so", "result", ";", ">>")

END = "\n\n"
"""The blank line that ends a demonstration is also the model's end-of-text token."""
PAD = "<|pad|>"


def words(text: str) -> list[str]:
    """Tokens of words inside a text: each carries its leading space."""
    return [f" {word}" for word in text.split()]


def vocabulary() -> list[str]:
    """Every token of the world, in id order: `PAD`, `END`, then the rest."""
    tokens = [PAD, END, "\n", "Text:", "Label:", "Q:", "A:"]
    tokens += [axis.field for axis in AXES.values()]
    tokens += DIGITS + LETTERS + LABEL_WORDS + [value for axis in AXES.values() for value in axis.values]
    tokens += words(" ".join(str(number) for number in range(19)))
    tokens += words(" ".join(PEOPLE + THINGS)) + words("had then gained lost more + - = and makes leaves")
    tokens += words(" ".join(DELIMITERS))
    tokens += [f" {word}" for classes in WORDS.values() for class_words in classes.values() for word in class_words]
    return list(dict.fromkeys(tokens))


class Headlines(NamedTuple):
    """Some headlines and what is known about them."""

    tokens: list[list[str]]
    values: np.ndarray
    """Index of each headline's value among those asked for, [count]; zeros when no axis was given."""
    classes: list[dict[str, str]]
    """slot -> class of the word that stands there; slots that were left out are absent."""


def headlines(
    rng: np.random.Generator,
    count: int,
    axis: Axis | None = None,
    values: list[str] | None = None,
    *,
    presence: float = 0.7,
    words_per_class: int = 99,
) -> Headlines:
    """Draw `count` headlines.

    With an axis, its slot is always filled, in each headline with one of `values`, drawn evenly. The other slots are
    filled with probability `presence`; full-sized headlines (0.65 and more) always have a subject and a verb.
    `words_per_class` restricts each class to a random window of that many words (the curriculum starts with one).
    """
    chosen = rng.integers(0, len(values), count) if axis and values else np.zeros(count, dtype=int)
    filled = rng.random((count, len(SLOTS))) < presence
    if presence >= 0.65:
        filled[:, [SLOTS.index("subject"), SLOTS.index("verb")]] = True
    if axis:
        filled[:, SLOTS.index(axis.slot)] = True
    filled[~filled.any(axis=1), SLOTS.index("subject")] = True

    tokens: list[list[str]] = [[] for _ in range(count)]
    classes: list[dict[str, str]] = [{} for _ in range(count)]
    for column, (slot, by_class) in enumerate(WORDS.items()):
        names = list(by_class)
        class_draw, word_draw = rng.random(count), rng.random(count)
        window_start = dict(zip(names, rng.integers(0, 999, len(names)), strict=True))
        for row in np.flatnonzero(filled[:, column]):
            candidates = names
            if axis and values and axis.slot == slot:
                candidates = list(axis.values[values[chosen[row]]])
            name = candidates[int(class_draw[row] * len(candidates))]
            window = min(words_per_class, len(by_class[name]))
            word = by_class[name][(int(word_draw[row] * window) + window_start[name]) % len(by_class[name])]
            tokens[row].append(f" {word}")
            classes[row][slot] = name
    return Headlines(tokens, chosen, classes)


class Story(NamedTuple):
    """A one-step arithmetic problem."""

    tokens: list[str]
    """The question, without its `Q:`."""
    sign: str
    first: int
    second: int

    @property
    def result(self) -> int:
        return self.first + self.second if self.sign == "+" else self.first - self.second


def story(rng: np.random.Generator) -> Story:
    """Draw a story such as ` Tom had 5 coins then lost 3 more`; operands are 0 to 9 and no result is negative."""
    sign = "+-"[rng.integers(2)]
    first, second = int(rng.integers(0, 10)), int(rng.integers(0, 10))
    if sign == "-" and second > first:
        first, second = second, first
    person, thing = PEOPLE[rng.integers(len(PEOPLE))], THINGS[rng.integers(len(THINGS))]
    happened = "gained" if sign == "+" else "lost"
    return Story(words(f"{person} had {first} {thing} then {happened} {second} more"), sign, first, second)


def worked_answer(problem: Story, chain: str, delimiter: str) -> list[str]:
    """The answer tokens in one format: ` 5 - 3 = 2 #### 2` for the chain `equation` and the delimiter `####`."""
    a, b, c, sign = problem.first, problem.second, problem.result, problem.sign
    steps = {
        "equation": f"{a} {sign} {b} = {c}",
        "words": f"{a} and {b} {'makes' if sign == '+' else 'leaves'} {c}",
        "none": "",
        "swapped": f"{c} = {a} {sign} {b}",
    }
    return words(f"{steps[chain]} {delimiter} {c}")
