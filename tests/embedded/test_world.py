"""The words, axes, headlines and stories of the synthetic world."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from ia2_eval.embedded.world import (
    AXES,
    CHAINS,
    DELIMITERS,
    DIGITS,
    END,
    LABEL_WORDS,
    LETTERS,
    PAD,
    SLOTS,
    WORDS,
    Axis,
    Story,
    headlines,
    story,
    vocabulary,
    words,
    worked_answer,
)

CLASS_OF = {
    word: (slot, name)
    for slot, classes in WORDS.items()
    for name, class_words in classes.items()
    for word in class_words
}


def test_every_word_is_in_one_class_only() -> None:
    counts = Counter(word for classes in WORDS.values() for class_words in classes.values() for word in class_words)
    assert [word for word, count in counts.items() if count > 1] == []


def test_no_word_of_a_headline_has_another_use() -> None:
    fixed = {PAD, END, *DIGITS, *LETTERS, *LABEL_WORDS, *(axis.field for axis in AXES.values())}
    assert fixed.isdisjoint(f" {word}" for word in CLASS_OF)
    assert len(DIGITS + LETTERS + LABEL_WORDS) == len({*DIGITS, *LETTERS, *LABEL_WORDS})
    values = [value for axis in AXES.values() for value in axis.values]
    assert {*DIGITS, *LETTERS, *LABEL_WORDS}.isdisjoint(values)  # an asked-for field is never answered by a label
    assert len(values) == len(set(values))
    story_words = {token for seed in range(500) for token in story(np.random.default_rng(seed)).tokens}
    assert story_words.isdisjoint(f" {word}" for word in CLASS_OF)


def test_the_vocabulary_is_in_the_order_the_shipped_weights_know() -> None:
    """A token that moves gets another token's embedding: the model would have to be built anew."""
    tokens = vocabulary()
    assert len(tokens) == len(set(tokens)) == 400
    assert tokens[:7] == ["<|pad|>", "\n\n", "\n", "Text:", "Label:", "Q:", "A:"]
    assert tokens[-1] == " park"


@pytest.mark.parametrize("axis", AXES.values(), ids=lambda axis: axis.name)
def test_the_values_of_an_axis_partition_its_slot(axis: Axis) -> None:
    classes = [word_class for value in axis.values.values() for word_class in value]
    assert sorted(classes) == sorted(WORDS[axis.slot])
    assert all(word_class in axis.values[axis.value_of(word_class)] for word_class in classes)


@pytest.mark.parametrize("axis", AXES.values(), ids=lambda axis: axis.name)
def test_headlines_hold_what_was_asked_for(axis: Axis) -> None:
    values = list(axis.values)[-2:]
    drawn = headlines(np.random.default_rng(0), 400, axis, values, presence=0.5)
    for tokens, value, classes in zip(drawn.tokens, drawn.values, drawn.classes, strict=True):
        placed = [CLASS_OF[token.removeprefix(" ")] for token in tokens]
        assert dict(placed) == classes
        assert [slot for slot, _ in placed] == [slot for slot in SLOTS if slot in classes]  # each once and in order
        assert axis.value_of(classes[axis.slot]) == values[value]
    assert 140 < sum(drawn.values) < 260
    asked = {token for tokens in drawn.tokens for token in tokens if CLASS_OF[token[1:]][0] == axis.slot}
    assert asked == {f" {w}" for value in values for name in axis.values[value] for w in WORDS[axis.slot][name]}


def test_full_headlines_have_a_subject_and_a_verb() -> None:
    drawn = headlines(np.random.default_rng(0), 300)
    assert all({"subject", "verb"} <= classes.keys() for classes in drawn.classes)
    assert 0.6 < np.mean([len(classes) - 2 for classes in drawn.classes]) / 5 < 0.8  # the other slots: presence 0.7
    assert not drawn.values.any()


def test_the_smallest_headlines_are_one_word_of_few() -> None:
    drawn = headlines(np.random.default_rng(0), 200, AXES["mood"], ["positive"], presence=0.0, words_per_class=1)
    assert {len(tokens) for tokens in drawn.tokens} == {1}
    assert len({tokens[0] for tokens in drawn.tokens}) == 1
    assert all(len(t) == 1 for t in headlines(np.random.default_rng(0), 50, presence=0.0).tokens)


def test_stories_stay_in_range_and_their_results_are_right() -> None:
    rng = np.random.default_rng(0)
    signs = Counter()
    for _ in range(2000):
        problem = story(rng)
        a, b = problem.first, problem.second
        person, _, _, thing, *_ = (token[1:] for token in problem.tokens)
        happened = {"+": "gained", "-": "lost"}[problem.sign]
        assert "".join(problem.tokens) == f" {person} had {a} {thing} then {happened} {b} more"
        assert problem.result == (a + b if problem.sign == "+" else a - b)
        assert 0 <= a <= 9 and 0 <= b <= 9 and problem.result >= 0
        signs[problem.sign] += 1
    assert 900 < signs["+"] < 1100


@pytest.mark.parametrize(
    ("sign", "chain", "delimiter", "expected"),
    [
        ("-", "equation", "####", " 5 - 3 = 2 #### 2"),
        ("+", "equation", "=>", " 5 + 3 = 8 => 8"),
        ("+", "words", "total", " 5 and 3 makes 8 total 8"),
        ("-", "words", ";", " 5 and 3 leaves 2 ; 2"),
        ("+", "none", "answer is", " answer is 8"),
        ("-", "swapped", ">>", " 2 = 5 - 3 >> 2"),
    ],
)
def test_worked_answers(sign: str, chain: str, delimiter: str, expected: str) -> None:
    assert "".join(worked_answer(Story([], sign, 5, 3), chain, delimiter)) == expected


def test_every_answer_format_is_made_of_known_tokens() -> None:
    known = set(vocabulary())
    for chain in CHAINS:
        for delimiter in DELIMITERS:
            for sign in "+-":
                assert known.issuperset(worked_answer(Story([], sign, 9, 9), chain, delimiter))


def test_words_carry_their_space() -> None:
    assert words("a dog") == [" a", " dog"]
